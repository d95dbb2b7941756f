"""A small Celery application whose tasks mail their owners. README.md describes how to run it."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional

from celery import Celery, chord
from sqlalchemy import text
from sqlalchemy.orm import Session

from rhesis_tasks import (
    BaseTask, EmailEnabledTask, EmailTemplate, SilentTask, email_notification, report_failure, with_tenant_context,
)

app = Celery("demo_app", broker=os.environ["CELERY_BROKER_URL"], backend=os.environ["CELERY_BROKER_URL"])
# With the first two settings Celery runs a task again if its process dies. Without them the task has failed.
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=1)


@email_notification(
    template=EmailTemplate.TASK_COMPLETION,
    subject_template="Task Complete: {task_name} - {status.title()}",
)
@app.task(base=BaseTask, name="demo.generate_test_set", display_name="Generate Test Set", bind=True)
@with_tenant_context
def generate_test_set(self: BaseTask, name: str, tests: int, db: Session = None) -> Dict[str, Any]:
    """Writes its row in test_set and its notification in one transaction."""
    inserted = db.execute(
        text("INSERT INTO public.test_set (name, tests) VALUES (:name, :tests) RETURNING id"),
        {"name": name, "tests": tests})
    test_set_id = str(inserted.scalar_one())
    if tests > 1000:
        raise ValueError(f"{tests} tests are too many")
    return {"test_set_id": test_set_id, "test_set_name": name, "num_tests_generated": tests}


@email_notification()
@app.task(base=BaseTask, name="demo.check_endpoint", display_name="Check Endpoint", bind=True, max_retries=2)
def check_endpoint(self: BaseTask, answers_at: int) -> None:
    """Retries until an endpoint answers: one mail, about the last try."""
    if self.request.retries + 1 < answers_at:
        raise self.retry(exc=ConnectionError("the endpoint does not answer"), countdown=0.1)


@app.task(base=EmailEnabledTask, name="demo.export")
def export() -> str:
    """Uses the legacy base. Its result is not an object, so the mail has no variables from it."""
    return "done"


@app.task(base=SilentTask, name="demo.execute_test")
def execute_test(number: int, broken: Optional[int] = None) -> Dict[str, bool]:
    """One of many tasks that run in parallel and send no mail."""
    if number == broken:
        raise RuntimeError(f"test {number} broke off")
    return {"passed": number % 5 != 0}


@email_notification(
    template=EmailTemplate.TEST_EXECUTION_SUMMARY,
    subject_template="Test Execution Complete: {test_set_name} - {test_outcome}",
)
@app.task(base=BaseTask, name="demo.collect_results", display_name="Test Execution Summary", bind=True)
def collect_results(self: BaseTask, results: List[Dict[str, bool]], test_set_name: str) -> Dict[str, Any]:
    """The chord's callback: one mail for all its tasks."""
    passed = sum(result["passed"] for result in results)
    return {
        "total_tests": len(results), "tests_passed": passed, "tests_failed": len(results) - passed,
        "test_set_name": test_set_name, "execution_status": "Complete",
    }


@app.task(base=SilentTask, name="demo.execute_test_configuration")
def execute_test_configuration(test_set_name: str, tests: int, broken: Optional[int] = None) -> None:
    """Starts the chord. Its tasks get the owner of this one."""
    parallel_tasks = [execute_test.s(number, broken) for number in range(1, tests + 1)]
    callback = collect_results.s(test_set_name=test_set_name)
    chord(parallel_tasks)(callback.on_error(report_failure.s()))
