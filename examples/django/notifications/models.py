"""Models of the extension's tables. Django reads and writes these tables, but does not change their definition."""

import json
import logging

from django.db import connections, models, router
from django.utils import timezone

from notifications.plain import plain_result, plain_text

logger = logging.getLogger(__name__)

REPORT = """
    SELECT rhesis_notify.task_completed(
        task_id => %(task_id)s, task_name => %(task_name)s, status => %(status)s, user_id => %(user_id)s,
        organization_id => %(organization_id)s, result => CAST(%(result)s AS jsonb),
        error_message => %(error_message)s, started_at => %(started_at)s, completed_at => %(completed_at)s,
        template => %(template)s, subject_template => %(subject_template)s)
"""


class TaskNotificationManager(models.Manager):
    def report(self, **task):
        """Reports a finished task in the current transaction. The arguments are the fields of TaskNotification.

        Returns the row's id. If the task has reported before, returns None and logs a warning.
        """
        reported = self.model(**task)
        row = {field.attname: getattr(reported, field.attname) for field in reported._meta.fields}
        for name in ("task_id", "user_id", "organization_id", "error_message"):
            row[name] = None if row[name] is None else plain_text(row[name])
        items = plain_result(row["result"])
        row["result"] = None if items is None else json.dumps(items, ensure_ascii=False)
        # Not create(): it reads the row's id, and row security shows the row only to its tenant.
        with connections[router.db_for_write(self.model)].cursor() as cursor:
            cursor.execute(REPORT, row)
            (row_id,) = cursor.fetchone()
        if row_id is None:
            logger.warning("Task %s[%s] has reported before: its first report stays", row["task_name"], row["task_id"])
        return row_id


class TaskNotification(models.Model):
    """The columns that a task may write. DeliveryStatus has the state of the mail."""

    id = models.BigAutoField(primary_key=True)
    task_id = models.TextField(unique=True)
    task_name = models.TextField()
    status = models.TextField(choices=[("success", "success"), ("failed", "failed")])
    user_id = models.TextField(null=True)
    organization_id = models.TextField(null=True)
    template = models.TextField(null=True)
    subject_template = models.TextField(null=True)
    result = models.JSONField(null=True)
    error_message = models.TextField(null=True)
    started_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(default=timezone.now)

    objects = TaskNotificationManager()

    class Meta:
        managed = False
        db_table = 'rhesis_notify"."task_notifications'  # Django puts the outer quotes around it.


class DeliveryStatus(models.Model):
    """One line for each notification."""

    id = models.BigIntegerField(primary_key=True)
    task = models.TextField()
    recipient = models.TextField()
    state = models.TextField()
    reason = models.TextField(null=True)
    attempts = models.IntegerField()
    smtp_reply = models.TextField(null=True)

    class Meta:
        managed = False
        db_table = 'rhesis_notify"."delivery_status'
