"""Reports finished Celery tasks to the PostgreSQL extension rhesis_notify, which sends mail to their owners.

Copy this file into your project. It writes the final outcome of a task to one row of
rhesis_notify.task_notifications; the database server finds the task's owner and sends the mail. A task that will be
retried writes no row. If a row cannot be written, the error is logged, and the task does not fail.

    @email_notification(
        template=EmailTemplate.TEST_EXECUTION_SUMMARY,
        subject_template="Task Complete: {task_name} - {status.title()}",
    )
    @app.task(base=BaseTask, bind=True)
    @with_tenant_context
    def collect_results(self, results, db=None):
        return {"total_tests": 10, "tests_passed": 8, "tests_failed": 2}

    collect_results.apply_async([results], headers={"user_id": user.id, "organization_id": user.organization_id})

The outcome is that of the task's function, so mail is sent even if the result backend is down. The database is that
of the environment variable DATABASE_URL, or that of the engine passed to use_engine().
Needs Python 3.8, Celery 5.2 and SQLAlchemy 1.4.33, or later versions.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import json
import logging
import math
import os
import re
import sys
from collections import deque
from collections.abc import Mapping, Sequence, Set
from contextlib import contextmanager
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, TypeVar, Union
from uuid import uuid4

from celery import Task, current_app, current_task, shared_task, states
from celery.app.task import Context
from celery.exceptions import (
    Ignore, Reject, Retry, SoftTimeLimitExceeded, TaskPredicate, TaskRevokedError, TimeLimitExceeded, WorkerLostError,
)
from celery.signals import before_task_publish, task_failure, task_postrun, task_prerun, worker_process_init
from celery.utils.imports import symbol_by_name
from celery.worker.request import Request
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session

__all__ = [
    "BaseTask", "EmailEnabledTask", "EmailTemplate", "ReportingRequest", "SilentTask", "email_notification",
    "report_failure", "tenant_session", "use_engine", "use_tenant_setting", "with_tenant_context",
]

logger = logging.getLogger(__name__)
Decorated = TypeVar("Decorated", bound=Callable[..., Any])

# The headers of a task that name its owner, and the PostgreSQL settings that row security compares with them.
TENANT = {"user_id": "app.current_user", "organization_id": "app.current_organization"}

LONGEST_ERROR = 10_000

REPORT = text("""
    SELECT rhesis_notify.task_completed(
        task_id => :task_id, task_name => :task_name, status => :status, user_id => :user_id,
        organization_id => :organization_id, result => CAST(:result AS jsonb), error_message => :error_message,
        started_at => :started_at, completed_at => :completed_at, template => :template,
        subject_template => :subject_template)
""")
SET_TENANT = text("SELECT set_config(key, value, true) FROM json_each_text(CAST(:tenant AS json))")


class EmailTemplate(str, enum.Enum):
    """The shipped templates. For a template of your own, pass its name."""

    TASK_COMPLETION = "task_completion"
    TEST_EXECUTION_SUMMARY = "test_execution_summary"


def template_name(template: Any) -> str:
    """The name of a template, from a text or from a member of an enum of texts; TypeError for any other value."""
    if template is None:
        return EmailTemplate.TASK_COMPLETION.value
    name = template.value if isinstance(template, enum.Enum) else template
    if (not isinstance(name, str) or not name.strip() or not name.isprintable()
            or re.search(r"\.(html?|txt|jinja2?|j2|mustache|hbs)$", name)):
        raise TypeError(f"template={template!r} does not name a template: give a name such as 'task_completion', "
                        "or an enum's member whose value is one")
    return str.__str__(name)  # A class of the application's own may have another __str__.


def subject_of(subject_template: Any) -> Optional[str]:
    """The subject as a text, or None; TypeError for any other value."""
    if not isinstance(subject_template, (str, type(None))) or isinstance(subject_template, enum.Enum):
        raise TypeError(f"subject_template={subject_template!r} is not a text")
    return subject_template and plain_text(str.__str__(subject_template), len(subject_template))


def email_notification(
    template: Union[EmailTemplate, str, None] = EmailTemplate.TASK_COMPLETION, subject_template: Optional[str] = None
) -> Callable[[Decorated], Decorated]:
    """Opts a task in: when it is done, its owner gets a mail with this template and this subject.

    Write it above or below @app.task, but below @shared_task. The template may be a member of your own enum whose
    value is a template's name.
    """
    name, subject = template_name(template), subject_of(subject_template)

    def decorate(task: Any) -> Any:
        if isinstance(task, Task) and not isinstance(task, BaseTask):
            raise TypeError(f"task {task.name} cannot be mailed without base=BaseTask")
        task.email_template = name
        task.email_subject_template = subject
        return task

    return decorate


# ---- The database ----

_engine: Optional[Engine] = None


def use_engine(engine: Engine) -> None:
    """Reports through your application's own engine."""
    global _engine
    _engine = engine


def get_engine() -> Engine:
    """The engine that writes the rows."""
    if _engine is None:
        use_engine(create_engine(os.environ["DATABASE_URL"], pool_pre_ping=True, hide_parameters=True,
                                 connect_args={"connect_timeout": 5}))
    return _engine


@worker_process_init.connect
def forget_inherited_connections(**_: Any) -> None:
    """Leaves connections of the parent process to that process."""
    if _engine is not None:
        _engine.dispose(close=False)


@contextmanager
def tenant_session(user_id: Optional[str], organization_id: Optional[str], **more: Optional[str]) -> Iterator[Session]:
    """A session whose transactions have the tenant in app.current_organization and app.current_user, for row security.

    It also has the settings of use_tenant_setting(). It commits at its end; an exception rolls it back.
    """
    given = {"user_id": user_id, "organization_id": organization_id, **more}
    tenant = json.dumps({setting: plain_text(given.get(name) or "") for name, setting in TENANT.items()})
    with Session(get_engine()) as session:
        event.listen(
            session, "after_begin", lambda _, begun, connection: connection.execute(SET_TENANT, {"tenant": tenant}))
        yield session
        if session.in_transaction():
            check_transaction(session)
        session.commit()


def use_tenant_setting(header: str, setting: str) -> None:
    """Adds a header that tasks pass to the tasks they start, and the setting that has its value in their sessions.

    use_tenant_setting("project_id", "app.current_project")
    """
    TENANT[header] = setting


def check_transaction(db: Union[Session, Connection]) -> None:
    """RuntimeError if an error has ended the transaction: its COMMIT would roll back without an error."""
    try:
        db.execute(text("SELECT 1"))
    except Exception as error:
        raise RuntimeError(
            "the transaction was rolled back: an error in it was caught, without a savepoint around what failed"
        ) from error


# ---- What goes into a row. The examples of Celery, SQLAlchemy and Django have the same lines, up to the next mark ----

# A mail is short. A result can be large: values above these limits stay out of the row.
LONGEST_VALUE = 65_536
LONGEST_RESULT = 1_048_576


def plain_text(value: Any, longest: int = LONGEST_VALUE) -> str:
    """The value as a text that PostgreSQL accepts: without NUL, and valid UTF-8."""
    try:
        written = str(value)
    except Exception:  # Its __str__ may raise any error.
        written = object.__repr__(value)
    return written.replace("\0", "").encode("utf-8", "replace").decode()[:longest]


def unwrapped(value: Any) -> Any:
    """Converts NumPy's scalars and arrays, Pydantic's models, named tuples, SQLAlchemy's rows and dataclasses."""
    if isinstance(value, (type, str, int, float, dict, list)):
        return value
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        return value.tolist()
    for convert in ("model_dump", "dict", "_asdict"):
        if callable(getattr(value, convert, None)):
            return getattr(value, convert)()
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return value


def is_container(value: Any) -> bool:
    """Whether the value has items; texts and bytes have none."""
    is_text = isinstance(value, (str, bytes, bytearray, memoryview))
    return isinstance(value, (Mapping, Sequence, Set, deque)) and not is_text


def plain_scalar(value: Any) -> Any:
    """Converts a value without items to a text, number, boolean or None; ValueError if it has no such form."""
    if isinstance(value, enum.Enum):
        value = value.value if isinstance(value.value, (str, int, float)) else value.name
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and value.bit_length() < 10_000:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) < 1000:
        return int(value) if value.as_tuple().exponent == 0 else format(value, "f")
    if isinstance(value, (int, float, Decimal)) or is_container(value):
        raise ValueError("JSON has no such number, or name")
    if isinstance(value, (bytes, bytearray, memoryview)):
        value = bytes(value).decode("utf-8")
    written = str(value)  # UUIDs, dates and times, paths, and other values with a text form.
    if not isinstance(value, str) and re.fullmatch(r"<.*>", written, re.DOTALL):
        raise ValueError("this is no value")
    return plain_text(written, len(written))


def plain(value: Any, room: List[int], inside: Tuple[int, ...] = ()) -> Any:
    """Converts the value to a form that JSON has. Items of a list or dict that have no such form are left out.

    ValueError if the value itself has no such form, or if no item is left; OverflowError if it is larger than room.
    """
    value = unwrapped(value)
    room[0] -= 1 + (len(value) if isinstance(value, (str, bytes, bytearray)) else 0)
    if room[0] < 0 or (is_container(value) and len(value) > room[0]):
        raise OverflowError("too large")
    if not is_container(value):
        return plain_scalar(value)
    if id(value) in inside or len(inside) > 50:
        raise ValueError("it contains itself, or is too deep")
    is_object = isinstance(value, Mapping)
    kept: Any = {} if is_object else []
    for item in value.items() if is_object else value:
        try:
            if is_object:
                kept[str(plain_scalar(item[0]))] = plain(item[1], room, (*inside, id(value)))
            else:
                kept.append(plain(item, room, (*inside, id(value))))
        except OverflowError:
            raise
        except Exception:  # The methods of an item may raise any error.
            continue
    if value and not kept:
        raise ValueError("nothing is left of it")
    return kept


def plain_result(result: Any) -> Optional[Dict[str, Any]]:
    """The result of a task as a JSON object; None if the result is not a dict, dataclass or model.

    A value is left out if JSON or PostgreSQL does not accept it, or if it is too large for a mail.
    """
    kept: Dict[str, Any] = {}
    size = 0
    try:
        result = unwrapped(result)
        items = list(result.items()) if isinstance(result, Mapping) else None
    except Exception:  # Its methods may raise any error.
        items = None
    for key, value in items or ():
        try:
            item = plain({key: value}, [LONGEST_VALUE])
        except Exception:
            continue
        length = len(json.dumps(item, ensure_ascii=False))
        if size + length <= LONGEST_RESULT:
            kept.update(item)
            size += length
    return None if items is None else kept


# ---- End of the same lines ----


def tenant_of(request: Context) -> Dict[str, str]:
    """The owner and tenant of a task, from its headers, else from its keyword arguments."""
    # Celery 5.2 makes headers attributes of the request. A task that never ran has them in its options.
    options = request.get("options") or {}
    sources = (vars(request), request.headers or {}, options.get("headers") or {}, request.kwargs or {})
    found = {name: next((source[name] for source in sources if source.get(name) is not None), None) for name in TENANT}
    return {name: plain_text(value) for name, value in found.items() if value is not None}


def callers_tenant() -> Dict[str, str]:
    """The tenant of the task that is running, if one is."""
    return tenant_of(current_task.request) if current_task else {}


# ---- How a run ends ----


@before_task_publish.connect
def hand_on_tenant(headers: Optional[Dict[str, Any]] = None, body: Any = None, **_: Any) -> None:
    """Passes a task's tenant to the tasks that it starts, also through tasks of another base."""
    kwargs = body[1] if isinstance(body, tuple) else {}
    for name, value in callers_tenant().items() if headers is not None else ():
        if headers.get(name) is None and kwargs.get(name) is None:
            headers[name] = value


@task_prerun.connect
def note_start(task: Task, **_: Any) -> None:
    """Records the start of the run: after a retry, the last run's start is reported."""
    task.request.started_at = datetime.now(timezone.utc)


def told_error(meta: Any) -> Exception:
    """The error that a task has passed to update_state(), as an exception or in Celery's own form."""
    if isinstance(meta, Exception):
        return meta
    told = meta if isinstance(meta, Mapping) else {"exc_message": meta}
    words = told.get("exc_message", "")
    words = ", ".join(map(plain_text, words)) if isinstance(words, (list, tuple)) else plain_text(words)
    return type(plain_text(told.get("exc_type") or "Failure"), (Exception,), {})(words)


@task_postrun.connect
def report_what_is_not(task: Task, state: Optional[str] = None, retval: Any = None, **_: Any) -> None:
    """Reports a run for which on_success and on_failure were not called.

    Celery does not call them if it could not store the result, or if it passes a failure to the caller of apply(). A
    base of the application may not call them either.
    """
    request = task.request
    if task.name in ("celery.map", "celery.starmap"):  # These call the task's function.
        task = current_app.tasks[request.kwargs["task"]["task"]]
    if not isinstance(task, BaseTask) or request.get("reported"):
        return
    raised = sys.exc_info()[1]
    if state is None and isinstance(raised, Retry):  # apply(throw=True) passes it to its caller, and does not run again.
        request.runs_again, request.error = False, raised.exc or raised
    if request.get("runs_again"):
        return
    if state == states.IGNORED:
        state, retval = request.get("told") or (state, None)
        request.error = told_error(retval) if state == states.FAILURE else None
    if state == states.SUCCESS:
        task.report_succeeded(request, retval)
    elif state in (None, states.FAILURE) or request.get("error"):
        error = request.get("error") or (retval if isinstance(retval, BaseException) else raised)
        if isinstance(error, Exception):
            is_failure = bool(request.get("error")) or not isinstance(error, TaskPredicate)
        else:  # Such as asyncio.CancelledError. Pools of threads and solo pools do not report it.
            is_failure = error is not None and not isinstance(error, (SystemExit, KeyboardInterrupt)) and not task.acks_late
        if is_failure:
            task.report_failed(request, error)


class ReportingRequest(Request):
    """A task in the worker's main process.

    A process of the pool cannot report if it was killed, by the kernel or at its hard time limit. This class reports
    for it, and also reports a task that expired before it ran.
    """

    runs_again = False

    def reject(self, requeue: bool = False) -> None:
        """As Request.reject; records whether the broker will deliver the task again."""
        self.runs_again = requeue and not self.acknowledged
        super().reject(requeue)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """As Request.on_failure; reports a lost process, unless the broker will deliver the task again.

        A task that ends its process with sys.exit() counts as lost, too. Newer versions of billiard pass its exception.
        """
        error = getattr(exc_info.exception, "exc", exc_info.exception)  # Newer versions of billiard wrap it.
        try:
            super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
        finally:  # The result backend may be down.
            is_loss = isinstance(error, (WorkerLostError, TimeLimitExceeded)) or not isinstance(error, (Exception, type(None)))
            if is_loss and not self.runs_again:  # Retry may carry an error, or None.
                self.report(error)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """As Request.on_timeout; reports a task that was killed at its hard time limit."""
        try:
            super().on_timeout(soft, timeout)
        finally:
            if not soft and not self.runs_again:
                self.report(TimeLimitExceeded(timeout))

    def maybe_expire(self) -> Optional[bool]:
        """As Request.maybe_expire; reports a task that has expired and will not run."""
        expired = super().maybe_expire()
        if expired:
            self.report(TaskRevokedError("expired"))
        return expired

    def report(self, error: BaseException) -> None:
        """Reports a failure, with the start of the run if the pool has reported it."""
        if self.time_start:
            self._context.started_at = datetime.fromtimestamp(self.time_start, timezone.utc)
        self.task.report_failed(self._context, error)


class BaseTask(Task):
    """Reports its outcome. Mail is sent if @email_notification opts it in, or if the database has its name registered."""

    Request = ReportingRequest

    reports = True
    email_template: Optional[str] = None
    email_subject_template: Optional[str] = None
    display_name: Optional[str] = None  # The name in mails: @app.task(display_name="Generate Test Set", ...)

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if cls.email_template is not None:
            cls.email_template = template_name(cls.email_template)
        cls.email_subject_template = subject_of(cls.email_subject_template)
        request = symbol_by_name(cls.Request)
        if not issubclass(request, ReportingRequest):  # The application's own.
            cls.Request = type(request.__name__, (ReportingRequest, request), {})

    def error_message(self, error: BaseException) -> str:
        """The text of an error in a mail: its name and its message. For the message alone: return str(error)."""
        # If pickle cannot serialize an error, Celery replaces it by another that has the name elsewhere.
        name = getattr(error, "exc_cls_name", None) or type(error).__name__
        words = ", ".join(map(plain_text, error.exc_args)) if hasattr(error, "exc_cls_name") else error
        return f"{name}: {plain_text(words, LONGEST_ERROR)}"

    def chosen(self, name: str) -> Optional[str]:
        """The choice of @email_notification. Below @app.task, the decorator stores it in the function."""
        return getattr(self.run, name, None) or getattr(self, name)

    def tenant(self) -> Dict[str, str]:
        """The tenant of this run. A task that is called as a function has the tenant of the calling task."""
        return next(filter(None, map(tenant_of, reversed(self.request_stack.stack))), {})

    # -- Submitting --

    def signature(self, *args: Any, **kwargs: Any) -> Any:
        """As Task.signature; a signature that is made in a task keeps that task's tenant, wherever it runs or fails."""
        made = super().signature(*args, **kwargs)
        tenant = {name: value for name, value in callers_tenant().items() if made.kwargs.get(name) is None}
        if tenant:
            made.options["headers"] = {**tenant, **(made.options.get("headers") or {})}
        return made

    def apply_async(
        self, args: Any = None, kwargs: Optional[Mapping[str, Any]] = None, *more: Any, **options: Any
    ) -> Any:
        """As Task.apply_async; the tenant comes from headers, from keyword arguments, or from the calling task.

        So a task's children and its retries have the same owner.
        """
        kwargs, headers = self._tenant_as_headers(kwargs, options.get("headers"))
        return super().apply_async(args, kwargs, *more, **{**options, "headers": headers})

    def apply(self, args: Any = None, kwargs: Optional[Mapping[str, Any]] = None, *more: Any, **options: Any) -> Any:
        """As Task.apply, with the tenant as in apply_async."""
        kwargs, headers = self._tenant_as_headers(kwargs, options.get("headers"))
        return super().apply(args, kwargs, *more, **{**options, "headers": headers})

    def _tenant_as_headers(
        self, kwargs: Optional[Mapping[str, Any]], headers: Optional[Mapping[str, Any]]
    ) -> Tuple[Dict[str, Any], Dict[str, Any]]:
        kwargs = dict(kwargs or {})
        takes = inspect.signature(self.run).parameters
        takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes.values())
        given = {name: kwargs[name] for name in TENANT if kwargs.get(name) is not None}
        for name in TENANT:
            if name not in takes and not takes_any:
                kwargs.pop(name, None)
        headers = {**callers_tenant(), **given, **(headers or {})}
        headers.update({name: str(headers[name]) for name in TENANT if headers.get(name) is not None})
        return kwargs, headers

    # -- Running --

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As Task.__call__; keeps the error of the run, because Celery loses it if the result backend is down."""
        request = self.request
        if request.called_directly or request.get("runs"):  # Called as a function, also by the task itself: not a run.
            self.push_request(args=args, kwargs=kwargs, headers=callers_tenant())
            try:
                return super().__call__(*args, **kwargs)
            finally:
                self.pop_request()
        request.runs = True
        try:
            return self.run(*args, **kwargs)
        except Exception as error:
            if not isinstance(error, TaskPredicate):
                request.error = error
            raise

    def retry(self, *args: Any, **kwargs: Any) -> Any:
        """As Task.retry; after it this run is not the last one, even if the task returns."""
        request = self.request
        try:
            again = super().retry(*args, **kwargs)
        except Retry:
            request.runs_again = True
            raise
        except Reject as rejected:  # The broker has not accepted it.
            request.error = rejected.reason
            raise
        request.runs_again = not request.is_eager
        return again

    def replace(self, sig: Any) -> Any:
        """As Task.replace; the replacing task reports."""
        request = self.request
        try:
            replaced = super().replace(sig)
        except Ignore:
            request.runs_again = True
            raise
        request.runs_again = True  # Eager: the other one has run.
        return replaced

    def update_state(
        self, task_id: Optional[str] = None, state: Optional[str] = None, meta: Any = None, **more: Any
    ) -> None:
        """As Task.update_state; if a task sets its state and then raises Ignore, that state is its outcome."""
        if task_id in (None, self.request.id):
            self.request.told = (state, meta)
        super().update_state(task_id, state, meta, **more)

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        """As Task.on_success; reports the success, unless the task's own transaction has reported it."""
        self.report_succeeded(self.request, retval)
        super().on_success(retval, task_id, args, kwargs)

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """As Task.on_failure; reports the failure. Celery does not call it for a task that it will retry."""
        if self.request.id == task_id:
            self.report_failed(self.request, self.request.get("error") or exc)
        super().on_failure(exc, task_id, args, kwargs, einfo)

    # -- Reporting --

    def report_succeeded(self, request: Context, result: Any) -> None:
        """Reports a success in a transaction of its own, unless the task's own transaction has committed it."""
        if request.get("reported") or request.get("runs_again") or isinstance(result, Retry):
            return
        if inspect.isawaitable(result) or inspect.isgenerator(result) or inspect.isasyncgen(result):
            self.report_failed(request, RuntimeError(f"the task never ran: it returned a {type(result).__name__}"))
            return
        request.reported = True
        # The task may have reported, and rolled that back.
        self._report(request, request.get("report") or self._row(request, "success", result))

    def report_failed(self, request: Context, error: BaseException) -> None:
        """Reports a failure in its own transaction, because the task's was rolled back."""
        if request.get("runs_again"):
            return
        request.reported = True
        self._report(request, self._row(request, "failed", error=error))

    def report_success(self, db: Union[Session, Connection], result: Any) -> bool:
        """Reports success in the transaction of db, so that mail is sent when it commits; true if the report succeeded.

        with_tenant_context calls it. A task that opens its own session calls it last before the commit.
        """
        request = self.request
        if request.called_directly or request.get("runs_again") or not self.reports:
            return False
        if isinstance(db, Session):
            db.flush()  # Errors here are errors of the task.
        request.report = request.get("report") or self._row(request, "success", result)
        return self._report(request, request.report, db)

    def _report(self, request: Context, row: Dict[str, Any], db: Union[Session, Connection, None] = None) -> bool:
        """Writes the row, in db's transaction or in its own one; true if that succeeded."""
        if not self.reports:
            return True
        for is_last in (False, True):
            try:
                if db is not None:
                    with db.begin_nested():
                        is_new = db.execute(REPORT, row).scalar() is not None
                else:
                    with get_engine().begin() as connection:
                        connection.execute(text("SET LOCAL lock_timeout = '5s'"))
                        is_new = connection.execute(REPORT, row).scalar() is not None
                if not is_new:
                    logger.info("Task %s[%s] has been reported before: its first report stays", self.name, request.id)
                return True
            except Exception as error:
                if db is not None:
                    check_transaction(db)
                # The server may have restarted since the pool made this connection; the next connection is new.
                elif not is_last and (
                    getattr(error, "connection_invalidated", False) or isinstance(error, SoftTimeLimitExceeded)
                ):
                    continue
                # Only the first line, because a DETAIL of PostgreSQL may contain the row.
                reason = plain_text(getattr(error, "orig", None) or error).partition("\n")[0]
                logger.error(
                    "Could not report task %s[%s]: %s: %s", self.name, request.id, type(error).__name__, reason)
                return False
        return False

    def _words_of(self, error: BaseException) -> str:
        try:
            words = self.error_message(error)
        except Exception:  # An application's own method may raise any error.
            words = BaseTask.error_message(self, error)
        return plain_text(words, LONGEST_ERROR + 1000)

    def _row(
        self, request: Context, status: str, result: Any = None, error: Optional[BaseException] = None
    ) -> Dict[str, Any]:
        items = plain_result(result)
        if self.display_name is not None:
            items = {"task_name": plain_text(self.display_name), **(items or {})}
        tenant = tenant_of(request)
        return {
            "task_id": request.id,
            "task_name": self.name,
            "status": status,
            "user_id": tenant.get("user_id"),
            "organization_id": tenant.get("organization_id"),
            "result": None if items is None else json.dumps(items, ensure_ascii=False),
            "error_message": None if error is None else self._words_of(error),
            # Both times are from one clock. The database's now() would be the start of the task's transaction.
            "started_at": request.get("started_at"),
            "completed_at": datetime.now(timezone.utc),
            "template": self.chosen("email_template"),
            "subject_template": self.chosen("email_subject_template"),
        }


class EmailEnabledTask(BaseTask):
    """Legacy base: mail is always sent, with the template task_completion."""

    email_template = EmailTemplate.TASK_COMPLETION.value


class SilentTask(BaseTask):
    """Writes no row, so no mail is sent: for the many parallel tasks of one job."""

    reports = False


def is_run_of(task: Any, function: Callable[..., Any]) -> bool:
    """Whether this is the task's own function, not another function that the task calls."""
    run = getattr(task, "run", None)
    run = getattr(run, "__func__", run)
    while run is not None and run is not function:
        run = getattr(run, "__wrapped__", None)  # autoretry_for, and decorators.
    return run is not None


def with_tenant_context(function: Decorated) -> Decorated:
    """Gives a task a session of its tenant as db, and commits it at the end together with the report of success.

    A caller that passes db controls the transaction itself. A function other than the task's own gets its own session,
    commits it, and reports nothing, because the task continues.
    """
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{function.__qualname__} is no plain function: its session would end before it begins")

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("db") is not None:
            return function(*args, **kwargs)
        # Without bind=True the first argument is not the task.
        task = args[0] if args and isinstance(args[0], Task) else current_task and current_task._get_current_object()
        tenant = task.tenant() if isinstance(task, BaseTask) else callers_tenant()
        reports = isinstance(task, BaseTask) and is_run_of(task, run) and not task.request.get("has_session")
        if reports:
            task.request.has_session = True
        with tenant_session(tenant.pop("user_id", None), tenant.pop("organization_id", None), **tenant) as db:
            result = function(*args, **{**kwargs, "db": db})
            written = reports and task.report_success(db, result)
        if written:
            task.request.reported = True
        return result

    return run  # type: ignore[return-value]


# ---- Tasks that never ran ----


def parts_of(made: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The tasks of a signature, which may be a chain, a group or a chord, in their order."""
    options, kwargs = made.get("options") or {}, made.get("kwargs") or {}
    if made.get("task") in ("celery.chain", "celery.group", "celery.chord"):
        header = kwargs.get("header") or ()
        for part in [*(kwargs.get("tasks") or ()), *([header] if isinstance(header, Mapping) else header)]:
            yield from parts_of({**part, "options": {**part.get("options", {}), "headers": {
                **(options.get("headers") or {}), **(part.get("options", {}).get("headers") or {})}}})
    else:
        yield made
    for waiting in (kwargs.get("body"), options.get("chord")):
        if isinstance(waiting, Mapping):
            yield from parts_of(waiting)


def report_first(
    parts: List[Mapping[str, Any]], error: BaseException, what: str, failed: Context
) -> None:
    """Reports the first of these tasks that sends mail, else the first that reports; if there is none, logs an error.

    If that task names no owner, the owner of the failed task is used.
    """
    reporting = [part for part in parts if getattr(current_app.tasks.get(part.get("task")), "reports", False)]
    mailed = [part for part in reporting if current_app.tasks[part["task"]].chosen("email_template")]
    for part in (mailed or reporting)[:1]:
        task_id = part.get("id") or (part.get("options") or {}).get("task_id") or str(uuid4())
        request = Context(part, id=task_id)
        request.headers = {**tenant_of(failed), **tenant_of(request)}
        current_app.tasks[part["task"]].report_failed(request, error)
        return
    logger.error("Could not report that %s failed: no task of it reports: %s", what, plain_text(error, 1000))


class Errback(Task):
    """An errback. The failed task calls it, and stays the current task."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As Task.__call__, but without its own request."""
        return self.run(*args, **kwargs)


@shared_task(name="rhesis_tasks.report_failure", base=Errback)
def report_failure(
    request: Optional[Context] = None, error: Optional[BaseException] = None, traceback: Any = None
) -> None:
    """Reports a task that never ran because an earlier task failed: a chord's callback, or the rest of a chain.

    chord(parallel_tasks)(callback.on_error(report_failure.s()))
    """
    # An immutable errback gets no arguments: report_failure.si(), or report_failure.s() in group.on_error().
    request = request or current_task.request
    error = error or sys.exc_info()[1] or RuntimeError("a task before it failed")
    own = dict(vars(request))
    own.setdefault("task", current_task.name if current_task else None)  # Celery 5.2's apply() does not set it.
    steps = [own, *reversed(request.chain or ()), *([request.chord] if request.chord else ())]
    report_first([part for step in steps for part in parts_of(step)], request.get("error") or error,
                 f"{own['task']}[{request.id}]", request)


@task_failure.connect
def report_unlinked(sender: Task, exception: BaseException, **_: Any) -> None:
    """Reports a group or a chord that waits for a failed task of a chord: Celery does not call its errbacks."""
    body = sender.request.chord or {}
    if body.get("task") in ("celery.group", "celery.chord"):
        for part in parts_of(body):
            links = (part.get("options") or {}).get("link_error") or ()
            if any(link.get("task") == report_failure.name for link in links):
                report_first([part], exception, f"{part['task']} after {sender.name}", sender.request)
