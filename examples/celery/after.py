"""The new way: the task commits one more row."""

import os

from celery import Celery
from sqlalchemy import text

from rhesis_tasks import BaseTask, EmailTemplate, email_notification, with_tenant_context

app = Celery("after", broker=os.environ["CELERY_BROKER_URL"])


@email_notification(
    template=EmailTemplate.TASK_COMPLETION,
    subject_template="Task Complete: {task_name} - {status.title()}",
)
@app.task(base=BaseTask, name="after.generate_test_set", display_name="Generate Test Set", bind=True)
@with_tenant_context
def generate_test_set(self, name, tests, db=None):
    db.execute(text("INSERT INTO public.test_set (name, tests) VALUES (:n, :t)"), {"n": name, "t": tests})
    return {"test_set_name": name, "num_tests_generated": tests}


# generate_test_set.apply_async(["Safety", 50], headers={"user_id": user.id, "organization_id": user.organization_id})
