"""Reports a task to rhesis_notify from SQLAlchemy 1.4 or 2."""

import json
from datetime import datetime, timezone

from sqlalchemy import text

REPORT = text("""
    SELECT rhesis_notify.task_completed(
        task_id => :task_id, task_name => :task_name, status => :status, user_id => :user_id,
        organization_id => :organization_id, result => CAST(:result AS jsonb), error_message => :error_message,
        started_at => :started_at, completed_at => :completed_at, template => :template)
""")


def report_task(session, task_id, task_name, status, user_id, organization_id=None, result=None,
                error_message=None, started_at=None, template=None):
    """Call it in the transaction of the task's last write: mail is sent exactly if that commits."""
    session.execute(REPORT, {
        "task_id": task_id, "task_name": task_name, "status": status,
        "user_id": user_id and str(user_id), "organization_id": organization_id and str(organization_id),
        "result": None if result is None else json.dumps(result), "error_message": error_message,
        "started_at": started_at, "completed_at": datetime.now(timezone.utc), "template": template})
