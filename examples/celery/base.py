"""An application's own tasks/base.py after the migration: with retries, logging and sessions, but without mail.

doc/migrate.md, step 4, lists the changes.
"""

from __future__ import annotations

import logging

import rhesis_tasks
from rhesis_tasks import EmailTemplate, email_notification, tenant_session, use_tenant_setting, with_tenant_context

__all__ = ["BaseTask", "EmailEnabledTask", "EmailTemplate", "SilentTask", "email_notification", "with_tenant_context"]

logger = logging.getLogger(__name__)

# The policies of the application's tables use a third setting. Its value is in a third header of the tasks.
use_tenant_setting("project_id", "app.current_project")


class BaseTask(rhesis_tasks.BaseTask):
    """Retries and logging, as before. on_success and on_failure only log, and call the module's."""

    autoretry_for = (Exception,)
    max_retries = 3
    retry_backoff = True
    track_started = True

    def error_message(self, error):
        """The text alone, as before."""
        return str(error)

    def get_db_session(self):
        """A session of the task's tenant, as before."""
        tenant = self.tenant()
        return tenant_session(tenant.pop("user_id", None), tenant.pop("organization_id", None), **tenant)

    def on_success(self, retval, task_id, args, kwargs):
        logger.info("Task completed successfully [%s]", task_id)
        return super().on_success(retval, task_id, args, kwargs)

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        logger.error("Task failed permanently [%s]", task_id)
        return super().on_failure(exc, task_id, args, kwargs, einfo)


class EmailEnabledTask(BaseTask, rhesis_tasks.EmailEnabledTask):
    """Always mailed."""


class SilentTask(BaseTask, rhesis_tasks.SilentTask):
    """Never mailed, and writes no row."""

    def on_success(self, retval, task_id, args, kwargs):
        return super(BaseTask, self).on_success(retval, task_id, args, kwargs)
