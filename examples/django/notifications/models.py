"""The extension's tables as Django sees them: it reads and writes them, and leaves their definition alone."""

from django.db import models
from django.utils import timezone

from notifications.plain import plain_result, plain_text


class TaskNotificationManager(models.Manager):
    def report(self, **task):
        """Reports a finished task in the current transaction. One that has reported before is left as it is."""
        task["result"] = plain_result(task.get("result"))
        for name in ("task_id", "user_id", "organization_id", "error_message"):
            if task.get(name) is not None:
                task[name] = plain_text(task[name])
        # No create(): it asks for the row's id, and row security shows that to the row's tenant alone.
        self.bulk_create([self.model(**task)], ignore_conflicts=True)


class TaskNotification(models.Model):
    """What a task may write. Where its mail stands is DeliveryStatus."""

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
