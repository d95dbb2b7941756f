"""The tasks of the original's documentation, unchanged apart from the imports. The users of the
module come from there."""

from celery import chord

from demo_app import app
from rhesis_tasks import BaseTask, EmailEnabledTask, EmailTemplate, email_notification, with_tenant_context


@email_notification(
    template=EmailTemplate.TASK_COMPLETION,
    subject_template="Task Complete: {task_name} - {status.title()}"
)
@app.task(base=BaseTask, name="your.user.facing.task", bind=True)
@with_tenant_context
def user_facing_task(self, params, db=None):
    """This task will send email notifications using the specified template."""
    # Your task logic here
    return {"result": "success", "test_run_id": "optional-for-links"}


@app.task(base=BaseTask, name="your.background.task", bind=True)
@with_tenant_context
def background_task(self, params, db=None):
    """This task will NOT send email notifications."""
    # Your parallel task logic here
    return {"result": "success"}


@app.task(base=EmailEnabledTask, name="your.legacy.task", bind=True)
@with_tenant_context
def legacy_task(self, params, db=None):
    """This task will send basic task completion emails."""
    # Your task logic here
    return {"result": "success"}


# This is the callback when all parallel tasks complete - send email
@email_notification(template=EmailTemplate.TEST_EXECUTION_SUMMARY)
@app.task(base=BaseTask, bind=True)
def collect_results_task(self, results):
    # Process results and return summary
    return {"total_tests": 10, "tests_passed": 8, "tests_failed": 2}


@app.task(base=BaseTask, name="your.parallel.task")
def parallel_task(param1, param2, param3):
    """The documentation does this at the top level. Here it is in a task that has an owner."""
    # These run in parallel - no emails needed (no decorator)
    parallel_tasks = [
        background_task.s(param1),
        background_task.s(param2),
        background_task.s(param3),
    ]
    callback = collect_results_task.s()
    # Execute: parallel tasks run silently, only callback sends email
    result = chord(parallel_tasks)(callback)
    return result.id


@email_notification(
    template=EmailTemplate.TEST_EXECUTION_SUMMARY,
    subject_template="Test Execution Complete: {test_set_name} - {status.title()}"
)
@app.task(base=BaseTask, bind=True)
def test_task(self):
    # Task logic here
    return {
        'total_tests': 10,
        'tests_passed': 8,
        'tests_failed': 2,
        'test_set_name': 'API Tests',
        'project_name': 'My Project'
    }
