"""Mails people when their Celery tasks are done, by way of the PostgreSQL extension rhesis_notify.

Copy this file into your project. It turns the final outcome of a task into one row of
rhesis_notify.task_notifications; the database server finds the task's owner, and mails. A task that will be
retried writes nothing. A row that can't be written is logged, and never fails the task.

    @email_notification(
        template=EmailTemplate.TEST_EXECUTION_SUMMARY,
        subject_template="Task Complete: {task_name} - {status.title()}",
    )
    @app.task(base=BaseTask, bind=True)
    @with_tenant_context
    def collect_results(self, results, db=None):
        return {"total_tests": 10, "tests_passed": 8, "tests_failed": 2}

    collect_results.apply_async([results], headers={"user_id": user.id, "organization_id": user.organization_id})

The database is that of the environment's DATABASE_URL, or the engine given to use_engine().
Python 3.8, Celery 5.2, SQLAlchemy 1.4.33, or later ones.
"""

from __future__ import annotations

import enum
import functools
import inspect
import json
import logging
import os
import re
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, TypeVar, Union

from celery import Task, current_app, current_task, shared_task
from celery.app.task import Context
from celery.exceptions import TimeLimitExceeded, WorkerLostError
from celery.signals import worker_process_init
from celery.worker.request import Request
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session

__all__ = [
    "BaseTask", "EmailEnabledTask", "EmailTemplate", "SilentTask", "email_notification", "report_failure",
    "tenant_session", "use_engine", "with_tenant_context",
]

logger = logging.getLogger(__name__)
Decorated = TypeVar("Decorated", bound=Callable[..., Any])

OWNER = ("user_id", "organization_id")

# What is mailed is short. A result may be anything: what is larger than this stays out of the row.
LONGEST_ERROR = 10_000
LONGEST_VALUE = 65_536
LONGEST_RESULT = 1_048_576

REPORT = text("""
    SELECT rhesis_notify.task_completed(
        task_id => :task_id, task_name => :task_name, status => :status, user_id => :user_id,
        organization_id => :organization_id, result => CAST(:result AS jsonb), error_message => :error_message,
        started_at => :started_at, completed_at => :completed_at, template => :template,
        subject_template => :subject_template)
""")
SET_TENANT = text("""
    SELECT set_config('app.current_organization', :organization_id, true),
           set_config('app.current_user', :user_id, true)
""")


class EmailTemplate(str, enum.Enum):
    """The templates that the extension ships. A template of your own is given by its name."""

    TASK_COMPLETION = "task_completion"
    TEST_EXECUTION_SUMMARY = "test_execution_summary"


def email_notification(
    template: Union[EmailTemplate, str] = EmailTemplate.TASK_COMPLETION, subject_template: Optional[str] = None
) -> Callable[[Decorated], Decorated]:
    """Opts a task in: its owner gets a mail of this template, and this subject, when it is done.

    Stands above or below @app.task; below is what a @shared_task needs.
    """

    def decorate(task: Any) -> Any:
        if isinstance(task, Task) and not isinstance(task, BaseTask):
            raise TypeError(f"task {task.name} can't be mailed without base=BaseTask")
        task.email_template = EmailTemplate(template).value if isinstance(template, EmailTemplate) else template
        task.email_subject_template = subject_template
        return task

    return decorate


# ---- The database ----

_engine: Optional[Engine] = None


def use_engine(engine: Engine) -> None:
    """Reports through your application's own engine."""
    global _engine
    _engine = engine


def get_engine() -> Engine:
    """The engine that rows are written through."""
    if _engine is None:
        use_engine(create_engine(os.environ["DATABASE_URL"], pool_pre_ping=True, hide_parameters=True,
                                 connect_args={"connect_timeout": 5}))
    return _engine


@worker_process_init.connect
def forget_inherited_connections(**_: Any) -> None:
    """The connections of the process that forked this one stay that one's."""
    if _engine is not None:
        _engine.dispose(close=False)


@contextmanager
def tenant_session(user_id: Optional[str], organization_id: Optional[str]) -> Iterator[Session]:
    """A session whose transactions have the tenant in app.current_organization and app.current_user, for row security.

    Commits at its end; an exception rolls it back.
    """
    tenant = {"user_id": user_id or "", "organization_id": organization_id or ""}
    with Session(get_engine()) as session:
        event.listen(session, "after_begin", lambda _, begun, connection: connection.execute(SET_TENANT, tenant))
        yield session
        session.commit()


# ---- What goes into a row ----


def plain_text(value: Any, longest: int) -> str:
    """The value as PostgreSQL takes it: no NUL, nothing that UTF-8 can't say."""
    try:
        written = str(value)
    except Exception:  # Whatever its __str__ may raise.
        written = object.__repr__(value)
    return written.replace("\0", "").encode("utf-8", "replace").decode()[:longest]


def plain_json(value: Any) -> Optional[str]:
    """The value as jsonb takes it; None if there is no way, or it is too large to be of use in a mail."""
    try:
        written = json.dumps(value, default=str, allow_nan=False, ensure_ascii=False)
    except Exception:
        return None
    if len(written) > LONGEST_VALUE:
        return None
    # jsonb has no NUL. An even number of backslashes before it: it is an escape, not the text of one.
    written = re.sub(r"(?<!\\)((?:\\\\)*)\\u0000", r"\1", written)
    return written.encode("utf-8", "replace").decode()


def template_variables(result: Any, display_name: Optional[str]) -> Optional[str]:
    """What a task returned as an object in JSON, without the items that can't be in one."""
    items: Dict[str, str] = {}
    size = 0
    if display_name is not None:
        items['"task_name"'] = json.dumps(display_name)
    for key, value in result.items() if isinstance(result, Mapping) else ():
        name, written = plain_json(str(key)), plain_json(value)
        if name is not None and written is not None and size + len(name) + len(written) <= LONGEST_RESULT:
            items[name] = written
            size += len(name) + len(written)
    return "{" + ", ".join(f"{name}: {written}" for name, written in items.items()) + "}" if items else None


def owner_of(request: Context) -> Dict[str, Optional[str]]:
    """Who submitted a task, and for which tenant: by its headers, else by its keyword arguments."""
    # Celery 5.2 makes headers attributes of the request. A chord's callback that never ran has them in its options.
    options = request.get("options") or {}
    sources = (vars(request), request.headers or {}, options.get("headers") or {}, request.kwargs or {})
    return {
        name: next((str(source[name]) for source in sources if source.get(name) is not None), None) for name in OWNER
    }


def callers_owner() -> Dict[str, str]:
    """The owner of the task that is running, if one is."""
    owner = owner_of(current_task.request) if current_task else {}
    return {name: value for name, value in owner.items() if value is not None}


# ---- Tasks ----


class ReportingRequest(Request):
    """A task as the worker's main process sees it.

    A process of the pool that was killed, by the kernel or at its hard time limit, reports nothing: this does.
    """

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """As Request.on_failure; reports a process that was lost, unless the broker gives the task out again."""
        super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
        error = getattr(exc_info.exception, "exc", exc_info.exception)  # Newer billiards wrap it.
        runs_again = self.task.acks_late and self.task.reject_on_worker_lost
        if isinstance(error, WorkerLostError) and not runs_again:
            self.report(error)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """As Request.on_timeout; reports a task that was killed at its hard time limit."""
        super().on_timeout(soft, timeout)
        if not soft:
            self.report(TimeLimitExceeded(timeout))

    def report(self, error: Exception) -> None:
        """Reports a failure, with the start that the pool has told of, if it has."""
        if self.time_start:
            self._context.started_at = datetime.fromtimestamp(self.time_start, timezone.utc)
        self.task.report_failed(self._context, error)


class BaseTask(Task):
    """Reports its outcome. Mailed if @email_notification opts it in, or its name is registered in the database."""

    Request = ReportingRequest

    reports = True
    email_template: Optional[str] = None
    email_subject_template: Optional[str] = None
    display_name: Optional[str] = None  # What mails call it: @app.task(display_name="Generate Test Set", ...)

    def signature(self, *args: Any, **kwargs: Any) -> Any:
        """As Task.signature; made in a task it has that task's owner, whoever runs it, or finds that it can't run."""
        made = super().signature(*args, **kwargs)
        owner = {name: value for name, value in callers_owner().items() if made.kwargs.get(name) is None}
        if owner:
            made.options["headers"] = {**owner, **(made.options.get("headers") or {})}
        return made

    def apply_async(
        self, args: Any = None, kwargs: Optional[Mapping[str, Any]] = None, *more: Any, **options: Any
    ) -> Any:
        """As Task.apply_async; the owner comes from headers, from keyword arguments, or from the task that calls this.

        A task's children and its retries so have its owner.
        """
        kwargs = dict(kwargs or {})
        takes = inspect.signature(self.run).parameters
        takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes.values())
        given = {name: kwargs[name] for name in OWNER if kwargs.get(name) is not None}
        for name in OWNER:
            if name not in takes and not takes_any:
                kwargs.pop(name, None)
        headers = {**callers_owner(), **given, **(options.get("headers") or {})}
        headers.update({name: str(headers[name]) for name in OWNER if headers.get(name) is not None})
        return super().apply_async(args, kwargs, *more, **{**options, "headers": headers})

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """As Task.before_start; notes when this run starts. A task that was retried is reported with its last run's."""
        self.request.started_at = datetime.now(timezone.utc)
        super().before_start(task_id, args, kwargs)

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        """As Task.on_success; reports the success, unless the task's own transaction has done so."""
        if not self.request.get("reported"):
            self._report(self.request, "success", result=retval)
        super().on_success(retval, task_id, args, kwargs)

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """As Task.on_failure; reports the failure. Celery does not call it for a task that it will retry."""
        self.report_failed(self.request, exc)
        super().on_failure(exc, task_id, args, kwargs, einfo)

    def report_failed(self, request: Context, error: BaseException) -> None:
        """Reports a failure, in a transaction of its own: the task's was rolled back."""
        self._report(request, "failed", error=error)

    def report_success(self, db: Union[Session, Connection], result: Any) -> None:
        """Reports success in the transaction of db: mail is sent exactly if that commits.

        with_tenant_context calls it; a task that opens its own session does so itself, last before the commit.
        """
        if self.request.called_directly:
            return
        if isinstance(db, Session):
            db.flush()  # Its errors are the task's own.
        self.request.reported = self._report(self.request, "success", result=result, db=db)

    def _report(
        self, request: Context, status: str, result: Any = None, error: Optional[BaseException] = None,
        db: Union[Session, Connection, None] = None,
    ) -> bool:
        """Writes the row, in db's transaction or in one of its own; whether that went well."""
        if not self.reports:
            return True
        try:
            row = self._row(request, status, result, error)
            if db is not None:
                with db.begin_nested():
                    db.execute(REPORT, row)
            else:
                with get_engine().begin() as connection:
                    connection.execute(text("SET LOCAL lock_timeout = '5s'"))
                    connection.execute(REPORT, row)
            return True
        except Exception as trouble:
            # The first line: a DETAIL of PostgreSQL may show the row.
            reason = str(getattr(trouble, "orig", None) or trouble).partition("\n")[0]
            logger.error("Could not report task %s[%s]: %s: %s", self.name, request.id, type(trouble).__name__, reason)
            return False

    def _row(
        self, request: Context, status: str, result: Any, error: Optional[BaseException]
    ) -> Dict[str, Union[str, datetime, None]]:
        # Below @app.task, @email_notification has left its choice on the function.
        template = getattr(self.run, "email_template", None) or self.email_template
        subject_template = getattr(self.run, "email_subject_template", None) or self.email_subject_template
        return {
            "task_id": request.id,
            "task_name": self.name,
            "status": status,
            **owner_of(request),
            "result": template_variables(result, self.display_name),
            "error_message": None if error is None else f"{type(error).__name__}: {plain_text(error, LONGEST_ERROR)}",
            # By one clock. The database's now() would be the start of the task's transaction.
            "started_at": request.get("started_at"),
            "completed_at": datetime.now(timezone.utc),
            "template": template,
            "subject_template": subject_template,
        }


class EmailEnabledTask(BaseTask):
    """Legacy: always mailed, with the template task_completion."""

    email_template = EmailTemplate.TASK_COMPLETION.value


class SilentTask(BaseTask):
    """Never mailed, and writes no row: for the many tasks that run in parallel for one."""

    reports = False


def with_tenant_context(function: Decorated) -> Decorated:
    """Gives a bound task a session of its tenant as db; at its end that is committed, with the report of its success.

    A caller that passes db itself keeps the transaction in its own hands.
    """

    @functools.wraps(function)
    def run(self: BaseTask, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("db") is not None:
            return function(self, *args, **kwargs)
        with tenant_session(**owner_of(self.request)) as db:
            result = function(self, *args, **{**kwargs, "db": db})
            if not self.request.get("reported"):
                self.report_success(db, result)
        return result

    return run  # type: ignore[return-value]


@shared_task(name="rhesis_tasks.report_failure")
def report_failure(request: Context, error: BaseException, traceback: Any) -> None:
    """Reports a chord's callback that never ran, since a task before it failed.

    chord(parallel_tasks)(callback.on_error(report_failure.s()))
    """
    task = current_app.tasks[request.task]
    if isinstance(task, BaseTask):
        task.report_failed(request, error)
