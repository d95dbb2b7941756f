"""A task of the application. Call it from Celery, a command, or a view."""

from django.contrib.auth.models import Group, User
from django.db import transaction

from notifications.models import TaskNotification


def create_group(task_id: str, name: str, user: User) -> None:
    """What it does and its mail are one transaction: the mail goes out exactly if that commits."""
    with transaction.atomic():
        group = Group.objects.create(name=name)
        TaskNotification.objects.report(
            task_id=task_id, task_name="groups.create", status="success", user_id=str(user.pk),
            template="task_completion", result={"task_name": f"Create group {group.name}"})
