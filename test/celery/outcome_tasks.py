"""Tasks for test/t/celery_outcomes.pl. Each ends in a way that Celery records wrongly, or not at
all."""

import dataclasses
import datetime
import decimal
import enum
import math
import os
import signal
import time
from pathlib import Path
from uuid import UUID

from celery import Celery, chord, group
from celery.exceptions import Ignore
from celery.worker.request import Request
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from rhesis_tasks import (
    BaseTask, EmailTemplate, SilentTask, email_notification, get_engine, report_failure, use_engine,
    use_tenant_setting, with_tenant_context,
)

DIRECTORY = Path(os.environ["TEST_DIRECTORY"])

app = Celery("outcome_tasks", broker=os.environ["CELERY_BROKER_URL"], backend=os.environ["CELERY_RESULT_BACKEND"])
app.conf.update(
    # With this, an unreachable backend costs one second instead of twenty.
    result_backend_transport_options={"retry_policy": {"max_retries": 1, "interval_start": 0, "interval_step": 0.1}},
    redis_socket_connect_timeout=1, broker_connection_retry_on_startup=True, worker_prefetch_multiplier=1,
    worker_proc_alive_timeout=120,  # A machine that is busy takes longer than four seconds to start a process.
    task_track_started=os.environ.get("TRACK_STARTED") == "yes")
# The engine of the application. It does not check whether a connection is alive.
use_engine(create_engine(os.environ["DATABASE_URL"], pool_pre_ping=False))
use_tenant_setting("project_id", "app.current_project")

INSERT = text("INSERT INTO public.test_set (id, name, tests) VALUES (:id, :name, 1)")
ID = UUID(int=1)


def mailed(**options):
    """A bound task that is mailed. Options can change both."""
    def decorate(function):
        given = {"base": BaseTask, "bind": True, "name": f"test.{function.__name__}", **options}
        return email_notification()(app.task(**given)(function))
    return decorate


def wait_for(name):
    """Signals that it waits, and waits until the test creates the file."""
    (DIRECTORY / f"{name}.waits").touch()
    while not (DIRECTORY / f"{name}.goes").exists():
        time.sleep(0.05)


# ---- Transactions ----


@mailed()
@with_tenant_context
def swallows_integrity_error(self, db=None):
    try:
        for _ in range(2):
            db.execute(INSERT, {"id": ID, "name": self.request.id})
    except IntegrityError:
        pass
    return {"test_set_name": "never"}


@mailed()
@with_tenant_context
def swallows_in_savepoint(self, db=None):
    try:
        with db.begin_nested():
            db.execute(text("SELECT 1 / 0"))
    except Exception:
        pass
    return {"test_set_name": "fine"}


@mailed()
@with_tenant_context
def rolls_back_itself(self, db=None):
    try:
        db.execute(text("SELECT 1 / 0"))
    except Exception:
        db.rollback()
    return {"test_set_name": "fine"}


@app.task(base=SilentTask, bind=True, name="test.silent_swallows")
@with_tenant_context
def silent_swallows(self, db=None):
    try:
        db.execute(text("SELECT 1 / 0"))
    except Exception:
        pass


@mailed()
def own_session_swallows(self):
    with Session(get_engine()) as db:
        try:
            db.execute(text("SELECT 1 / 0"))
        except Exception:
            pass
        self.report_success(db, {"test_set_name": "never"})
        db.commit()


@mailed()
@with_tenant_context
def reports_then_rolls_back(self, db=None):
    self.report_success(db, {"test_set_name": "reported"})
    db.rollback()


@mailed()
def own_session_rolls_back(self):
    with Session(get_engine()) as db:
        self.report_success(db, {"test_set_name": "reported"})
        db.rollback()


@mailed()
def own_session_is_not_committed(self):
    with Session(get_engine()) as db:
        self.report_success(db, {"test_set_name": "reported"})


@mailed()
def own_connection_rolls_back(self):
    with get_engine().connect() as db:
        self.report_success(db, {"test_set_name": "reported"})
        db.rollback() if hasattr(db, "rollback") else None


# ---- The result backend, the database ----


@mailed()
def waits(self, end, name):
    wait_for(name)
    if end == "fails":
        raise ValueError("my own words")
    if end == "retries" and self.request.retries == 0:
        raise self.retry(countdown=0)
    if end == "kills itself":
        os.kill(os.getpid(), signal.SIGKILL)
    return {"test_set_name": "done"}


@mailed(time_limit=3)
def too_slow(self, name):
    (DIRECTORY / f"{name}.waits").touch()
    time.sleep(600)


@mailed(soft_time_limit=1)
def too_slow_softly(self):
    time.sleep(600)


# ---- Exceptions ----


class Unpicklable(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class UnpicklableValueError(ValueError):
    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")


@mailed()
def raises_unpicklable(self):
    raise Unpicklable(7, "cannot be pickled")


@mailed()
def raises_unpicklable_value_error(self):
    raise UnpicklableValueError(7, "cannot be pickled")


class TextAlone(BaseTask):
    def error_message(self, error):
        return str(error)


@mailed(base=TextAlone)
def text_alone(self):
    raise ValueError("the text alone")


# ---- Retries ----


@mailed(max_retries=2)
def retries_without_throw(self):
    self.retry(exc=ValueError("in vain"), throw=False, countdown=0)


@mailed(max_retries=2)
@with_tenant_context
def retries_without_throw_in_session(self, db=None):
    self.retry(exc=ValueError("in vain"), throw=False, countdown=0)


@mailed(max_retries=2)
def swallows_retry(self):
    if self.request.retries < 2:
        try:
            self.retry(countdown=0)
        except Exception:
            pass
    return {"test_set_name": f"run {self.request.retries + 1}"}


@mailed(max_retries=2)
def retries_and_raises(self):
    if self.request.retries < 2:
        self.retry(throw=False, countdown=0)
        raise RuntimeError("not the last run")
    return {"test_set_name": f"run {self.request.retries + 1}"}


# ---- States that tasks set themselves ----


@mailed()
def sets_failure(self):
    self.update_state(state="FAILURE", meta={"exc_type": "OwnError", "exc_message": ["set by hand"]})
    raise Ignore()


@mailed()
def sets_progress(self):
    self.update_state(state="PROGRESS", meta={"done": 1})
    return {"test_set_name": "done"}


@mailed()
def ignored(self):
    raise Ignore()


@mailed()
def cannot_be_encoded(self):
    return {"object": object()}


# ---- Bases of the application ----


class TellsNobody(BaseTask):
    """A base that does not call the overridden methods."""

    def before_start(self, task_id, args, kwargs):
        pass

    def on_success(self, retval, task_id, args, kwargs):
        pass

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        pass


@mailed(base=TellsNobody)
def tells_nobody(self, fails):
    if fails:
        raise ValueError("my own words")


class Fragile(BaseTask):
    """A base with failing hooks."""

    def on_success(self, retval, task_id, args, kwargs):
        raise RuntimeError("in on_success")

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        raise RuntimeError("in on_failure")


@mailed(base=Fragile)
def fragile(self, fails):
    if fails:
        raise ValueError("my own words")


class InAContext(BaseTask):
    """The base in Flask's documentation."""

    def __call__(self, *args, **kwargs):
        return self.run(*args, **kwargs)


@mailed(base=InAContext)
def in_a_context(self, fails):
    if fails:
        raise ValueError("my own words")


class OwnRequest(Request):
    def on_failure(self, exc_info, send_failed_event=True, return_ok=False):
        return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)


class WithOwnRequest(BaseTask):
    Request = OwnRequest


@mailed(base=WithOwnRequest)
def own_request_is_killed(self):
    os.kill(os.getpid(), signal.SIGKILL)


class OfAClass(BaseTask):
    """A task that is a class, derived from an abstract base."""

    name = "test.of_a_class"

    @with_tenant_context
    def run(self, number, db=None):
        return {"test_set_name": f"number {number}"}


email_notification()(OfAClass)
app.register_task(OfAClass())


# ---- Tasks that call tasks ----


@mailed()
@with_tenant_context
def calls_itself(self, depth, db=None):
    if depth == 0:
        raise ValueError("at the bottom")
    try:
        calls_itself(depth - 1)
    except ValueError:
        pass
    return {"test_set_name": f"depth {depth}"}


@mailed()
@with_tenant_context
def calls_itself_and_fails(self, depth, db=None):
    if depth:
        calls_itself_and_fails(depth - 1)
        raise ValueError("after the call")


@mailed(bind=False)
@with_tenant_context
def unbound(first, db=None):
    return {"test_set_name": first, "test_set_id": db.execute(text("SELECT current_setting('app.current_user')")).scalar_one()}


@mailed()
@with_tenant_context
def shows_tenant(self, db=None):
    query = "SELECT current_setting('app.current_user') || ' ' || current_setting('app.current_project')"
    return {"test_set_name": db.execute(text(query)).scalar_one()}


@mailed()
def calls_another(self):
    return {"test_set_name": "of " + shows_tenant()["test_set_name"]}


@app.task(name="test.foreign")
def foreign(*_):
    """A task with another base."""


@mailed()
@with_tenant_context
def ends_a_chain(self, *_, db=None):
    query = "SELECT current_setting('app.current_user') || ' ' || current_setting('app.current_project')"
    return {"test_set_name": db.execute(text(query)).scalar_one()}


@mailed(bind=False)
def mapped(number):
    if number == 13:
        raise ValueError("13 is no number")


@app.task(name="test.foreign_fails")
def foreign_fails(*_):
    raise ValueError("in another base")


@app.task(base=SilentTask, name="test.part")
def part(number, fails=False):
    if fails == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if fails:
        raise ValueError(f"part {number} failed")
    return number


@mailed()
def collect(self, results, *_):
    return {"total_tests": len(results)}


@mailed()
def publish(self, *_):
    return {"test_set_name": "published"}


@app.task(base=SilentTask, bind=True, name="test.silent_end")
def silent_end(self, *_):
    pass


CANVASES = {
    "chain": lambda: (collect.s() | publish.s()).on_error(report_failure.s()),
    "chain of silent ones": lambda: (silent_end.s() | silent_end.s()).on_error(report_failure.s()),
    "group": lambda: group(collect.s().on_error(report_failure.s()), publish.s()),
    "whole group": lambda: group(collect.s(), publish.s()).on_error(report_failure.s()),
    "chord": lambda: chord([collect.s(), collect.s()], publish.s().on_error(report_failure.s())),
    "single": lambda: collect.s().on_error(report_failure.s()),
}


@app.task(base=SilentTask, name="test.starts_chord")
def starts_chord(kind, fails):
    chord([part.s(number, fails if number == 2 else False) for number in range(4)])(CANVASES[kind]())


@app.task(base=SilentTask, name="test.starts_chain")
def starts_chain():
    (foreign_fails.s() | publish.s()).on_error(report_failure.s()).delay()


# ---- Values ----


class Colour(enum.Enum):
    RED = "red"
    NAMELESS = object()


class Model:
    """A class like those of Pydantic."""

    def model_dump(self):
        return {"field": Colour.RED}


@dataclasses.dataclass
class Data:
    number: int
    colour: Colour


class Scalar:
    """A class like those of NumPy."""

    dtype = "float64"

    def tolist(self):
        return 1.5


VALUES = {
    "test_run_id": UUID(int=1), "at": datetime.datetime(2024, 1, 15, 14, 30, 25), "day": datetime.date(2024, 1, 15),
    "hour": datetime.time(14, 30), "took": datetime.timedelta(minutes=2, seconds=45), "price": decimal.Decimal("12.50"),
    "count": decimal.Decimal(10), "no number": decimal.Decimal("NaN"), "nan": math.nan, "infinity": -math.inf,
    "scores": [1.0, math.nan, 3], "nul": "a\0b", "half": "a\ud800b", "colour": Colour.RED, "nameless": Colour.NAMELESS,
    "bytes": b"caf\xc3\xa9", "no text": b"\xff\xfe", "set": {1}, "tuple": (1, "b"), "data": Data(1, Colour.RED),
    "model": Model(), "scalar": Scalar(), "huge": 10 ** 5000, "large": 10 ** 30, "object": object(), "path": Path("/a"),
    7: "seven", None: "none", Colour.RED: "key", "nested": {"bad": object(), "good": {"deeper": [object(), 1]}},
    "tuple key": {(1, 2): 3, "kept": 1},
}


@mailed(ignore_result=True)
def returns_values(self):
    return VALUES


@mailed(ignore_result=True)
@with_tenant_context
def returns_values_in_session(self, db=None):
    return VALUES


@mailed(ignore_result=True)
def returns_data(self):
    return Data(1, Colour.RED)


class RudeDict(dict):
    def items(self):
        raise RuntimeError("no items")


@mailed(ignore_result=True)
def returns_rude(self):
    return RudeDict(a=1)


# ---- Arguments that @email_notification refuses ----


class OwnTemplate(enum.Enum):
    MINE = "my_template"
    FILE = "task_completion.html.jinja2"
    NUMBER = 7
    SHIPPED = EmailTemplate.TASK_COMPLETION


class Name(str):
    """A string class with its own __str__."""

    def __str__(self):
        return f"<{super().__str__()}>"


def refused(**options):
    try:
        email_notification(**options)
    except TypeError:
        return True
    return False


@email_notification(template=OwnTemplate.MINE)
@app.task(base=BaseTask, name="test.own_template")
def own_template():
    pass


REFUSED = [
    refused(template=given) for given in
    (OwnTemplate.FILE, OwnTemplate.NUMBER, OwnTemplate, object(), 7, "", b"task_completion", ["task_completion"], " ", "a\0b", "a\n",
     "\ud800", lambda: "task_completion", Name, 1.5, True, {"task_completion"})
] + [refused(subject_template=given) for given in (7, OwnTemplate.MINE, EmailTemplate.TASK_COMPLETION, object(), b"Done")]
TAKEN = [refused(template=given) for given in (None, "mine", "my template", EmailTemplate.TASK_COMPLETION, OwnTemplate.MINE)]


def nothing():
    """The function of a task."""


def of_a_base(**attributes):
    """Returns the effect of a template or a subject of a base, or of an option of @app.task."""
    try:
        made = app.task(base=type("Base", (BaseTask,), {"abstract": True}), name=f"test.made {len(app.tasks)}", **attributes)(nothing)
    except TypeError:
        return "refused"
    return made.chosen("email_template"), made.chosen("email_subject_template")


NAMED = [email_notification(template=given)(app.task(base=BaseTask, name=f"test.named {given!r}")(nothing)).email_template
         for given in (Name("mine"), OwnTemplate.SHIPPED, EmailTemplate.TEST_EXECUTION_SUMMARY)]
OF_A_BASE = [of_a_base(email_template=given) for given in (OwnTemplate.MINE, OwnTemplate.SHIPPED, OwnTemplate.NUMBER, 7)] + [
    of_a_base(email_subject_template=7), of_a_base(email_subject_template="Done\0")]
