import os
from datetime import datetime, timezone

from celery import Celery, Task
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from sqlalchemy_task import report_task

app = Celery("app", broker=os.environ["CELERY_BROKER_URL"])
engine = create_engine(os.environ["DATABASE_URL"])


class NotifyingTask(Task):
    template = None  # the name of a template opts a task in

    def before_start(self, task_id, args, kwargs):
        self.request.started_at = datetime.now(timezone.utc)

    def on_success(self, retval, task_id, args, kwargs):
        self.report("success", result=retval if isinstance(retval, dict) else None)

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        # Celery does not call this for a task that it will retry.
        self.report("failed", error_message=f"{type(exc).__name__}: {exc}")

    def report(self, status, **outcome):
        request = self.request  # the headers of apply_async are attributes of it
        with Session(engine) as session, session.begin():
            report_task(session, request.id, self.name, status, request.get("user_id"),
                        request.get("organization_id"), started_at=request.started_at,
                        template=self.template, **outcome)


@app.task(base=NotifyingTask, template="task_completion", name="reports.export")
def export(report):
    return {"rows": 12, "report": report}


# export.apply_async(["May"], headers={"user_id": user.id, "organization_id": user.organization_id})
