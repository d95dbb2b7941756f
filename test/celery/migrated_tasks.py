"""The tasks of an application after step 4 of doc/migrate.md, with the base of
examples/celery/base.py."""

import os

from celery import Celery
from sqlalchemy import text

from base import BaseTask, EmailEnabledTask, EmailTemplate, SilentTask, email_notification, with_tenant_context

app = Celery("migrated_tasks", broker=os.environ["CELERY_BROKER_URL"])
TENANT = text("SELECT current_setting('app.current_organization') || ' ' || current_setting('app.current_project')")


@email_notification(
    template=EmailTemplate.TEST_EXECUTION_SUMMARY, subject_template="Test Execution Complete: {test_set_name} - {status.title()}"
)
@app.task(base=EmailEnabledTask, bind=True, name="migrated.summary", display_name="Test Execution Summary")
def summary(self):
    return {"total_tests": 2, "tests_passed": 2, "tests_failed": 0, "test_set_name": "API Tests"}


@app.task(base=EmailEnabledTask, bind=True, name="migrated.legacy")
def legacy(self):
    with self.get_db_session() as db:
        return {"test_set_name": db.execute(TENANT).scalar_one()}


@app.task(base=EmailEnabledTask, bind=True, name="migrated.legacy_fails", max_retries=1, retry_backoff=False, default_retry_delay=0)
def legacy_fails(self):
    raise ValueError("the endpoint does not answer")


@app.task(base=SilentTask, bind=True, name="migrated.silent")
def silent(self, fails):
    if fails:
        self.max_retries = 0
        raise ValueError("nobody reads this")


@app.task(base=BaseTask, bind=True, name="migrated.plain")
@with_tenant_context
def plain(self, db=None):
    return {"test_set_name": db.execute(TENANT).scalar_one()}
