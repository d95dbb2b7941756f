"""A task of the application. Call it from Celery, a command, or a view."""

from django.contrib.auth.models import Group, User
from django.db import transaction

from notifications.models import TaskNotification


def create_group(task_id: str, name: str, user: User) -> None:
    """Creates the group and reports in one transaction: the mail is sent only if it commits."""
    with transaction.atomic():
        group = Group.objects.create(name=name)
        TaskNotification.objects.report(
            task_id=task_id, task_name="groups.create", status="success", user_id=str(user.pk),
            template="task_completion", result={"task_name": f"Create group {group.name}"})
