"""The shipped mails with sample data, rendered by the server of PGHOST, PGPORT, PGUSER and
PGDATABASE."""

import json
import subprocess

TEMPLATES = ("task_completion", "test_execution_summary")

# A template ignores names that only another template uses.
TYPICAL = {
    "recipient_name": "Jane Doe",
    "recipient_email": "jane@acme.example",
    "organization_name": "Acme Corporation",
    "task_name": "Execute Test Configuration",
    "task_id": "5e1f7c3a-9d24-4b6e-8a17-c2f09b3d6e58",
    "status": "success",
    "completed_at": "2024-01-15 14:30:25 UTC",
    "execution_time": "2m 45s",
    "result_url": "https://app.rhesis.ai/test-runs/abcd1234-5678-4012-8fab-567890123456",
    "test_run_id": "abcd1234-5678-4012-8fab-567890123456",
    "test_set_name": "Insurance Chatbot: Safety",
    "num_tests_generated": 128,
    "total_tests": 128,
    "tests_passed": 119,
    "tests_failed": 8,
    "execution_errors": 1,
    "execution_status": "Partial",
    "status_details": "One test could not be run: the endpoint did not answer.",
    "project_name": "Insurance Chatbot",
    "endpoint_name": "Chatbot (staging)",
    "endpoint_url": "https://staging.acme.example/api/chat",
}

ERROR = """\
Traceback (most recent call last):
  File "/app/rhesis/backend/tasks/execution/run.py", line 212, in execute
    response = client.post(endpoint.url, json=payload, timeout=30)
httpx.ConnectTimeout: timed out after 30.0 s while connecting to https://staging.acme.example/api/chat
"""

FAILED = {
    **TYPICAL,
    "status": "failed",
    "error_message": ERROR.strip(),
    "num_tests_generated": None,
    "total_tests": None,
    "tests_passed": None,
    "tests_failed": None,
    "execution_errors": None,
    "execution_status": "Failed",
    "status_details": None,
}

LONG_NAMES = (
    "recipient_name",
    "organization_name",
    "from_name",
    "task_name",
    "task_id",
    "completed_at",
    "execution_time",
    "test_run_id",
    "test_set_id",
    "test_set_name",
    "execution_status",
    "status_details",
    "project_name",
    "endpoint_name",
)

LONG = {
    **TYPICAL,
    **dict.fromkeys(LONG_NAMES, "Donaudampfschifffahrtsgesellschaft" * 8),
    "status": "failed",
    "error_message": "x" * 2000 + "\n" + "word " * 399 + "end",
    "result_url": "https://app.rhesis.ai/test-runs/" + "a" * 300,
    "endpoint_url": "https://staging.acme.example/" + "a/" * 200,
    "num_tests_generated": 12345678901234567890,
    "total_tests": 12345678901234567890,
    "tests_passed": 12345678901234567890,
    "tests_failed": 1234567890123,
    "execution_errors": 1234567890,
}

RIGHT_TO_LEFT = {
    **TYPICAL,
    "recipient_name": "محمد بن عبد الله",
    "organization_name": "شركة Acme (الاختبار)",
    "task_name": "تنفيذ مجموعة الاختبارات 12",
    "status": "failed",
    "error_message": "تعذر الاتصال بالخادم: timeout (30 s).\nהשרת לא ענה.",
    "test_set_name": "בדיקות בטיחות",
    "execution_status": "جزئي",
    "status_details": "تعذر تشغيل اختبار واحد لأن الخدمة لم تستجب.",
    "project_name": "مشروع 12",
    "endpoint_name": "צ'אטבוט",
}

SAMPLES = {
    "typical": TYPICAL,
    "all-passed": {
        **TYPICAL,
        "tests_passed": 128,
        "tests_failed": 0,
        "execution_errors": 0,
        "execution_status": "Complete",
        "status_details": "",
    },
    "none-passed": {**TYPICAL, "tests_passed": 0, "tests_failed": 128, "execution_errors": 0, "result_url": ""},
    "large-numbers": {
        **TYPICAL,
        "total_tests": 999999999,
        "tests_passed": 999999,
        "tests_failed": 999999999,
        "execution_errors": 88888888,
    },
    "unknown-counts": {**TYPICAL, "total_tests": 72, "tests_passed": 8, "tests_failed": None, "execution_errors": None},
    "no-tests": {**TYPICAL, "total_tests": 0, "tests_passed": 0, "tests_failed": 0, "execution_errors": 0},
    "empty": {"status": "success", "task_name": ""},
    "failed": FAILED,
    "long": LONG,
    "right-to-left": RIGHT_TO_LEFT,
}


def query(sql, **variables):
    """Returns the one value of an SQL query. In the query, :'name' is a variable."""
    settings = [f"--set={name}={value}" for name, value in variables.items()]
    return subprocess.run(
        ["psql", "-XqAt", "--set=ON_ERROR_STOP=1", *settings],
        input="SET client_encoding = 'UTF8';\n" + sql,
        stdout=subprocess.PIPE,
        check=True,
        encoding="utf-8",
    ).stdout


def render(template, variables, part="html"):
    """Renders one part of the mail, html or text, from a template."""
    return query(
        f"SELECT {part} FROM rhesis_notify.render_template(:'template', :'variables');",
        template=template,
        variables=json.dumps(variables),
    )


def preview_failure(template, error_length):
    """The HTML of a failed task's mail. It comes from the row, the user and a long error, in the
    same way as a sent mail."""
    return query(
        """
        BEGIN;
        SET LOCAL rhesis_notify.frontend_url = 'https://app.rhesis.ai';
        CREATE TABLE public.organization (id text PRIMARY KEY, name text);
        CREATE TABLE public."user" (id text PRIMARY KEY, email text, name text, organization_id text);
        INSERT INTO public.organization VALUES ('acme', 'Acme Corporation');
        INSERT INTO public."user" VALUES ('jane', 'jane@acme.example', 'Jane Doe', 'acme');
        INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, user_id, organization_id, template,
            result, error_message, started_at, completed_at)
        VALUES ('5e1f7c3a', 'Execute Test Configuration', 'failed', 'jane', 'acme', :'template',
            '{"test_run_id": "abcd1234"}', left(repeat(:'error', 1 + :error_length / length(:'error')), :error_length),
            '2024-01-15 14:27:40+00', '2024-01-15 14:30:25+00')
        RETURNING id AS notification \\gset
        SELECT html FROM rhesis_notify.preview(:notification);
        ROLLBACK;
        """,
        template=template,
        error=ERROR,
        error_length=error_length,
    )
