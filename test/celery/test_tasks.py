"""Tasks for test/t/celery.pl, beside those of the demo. They hang, die, or return unusual
values."""

import importlib
import math
import os
import signal
import time
from datetime import date
from uuid import UUID

from celery import shared_task
from celery.exceptions import Reject
from sqlalchemy import text
from sqlalchemy.orm import Session

from demo_app import app
from rhesis_tasks import BaseTask, EmailTemplate, email_notification, get_engine, with_tenant_context

importlib.import_module("original_tasks")  # This adds its tasks to the application.

DIRECTORY = os.environ["TEST_DIRECTORY"]

app.conf.broker_transport_options = {"visibility_timeout": int(os.environ.get("VISIBILITY_TIMEOUT", "3600"))}


def hang_the_first_time(task_id):
    """Writes our process id to a file. The test reads it and kills this process."""
    try:
        with open(f"{DIRECTORY}/{task_id}", "x", encoding="utf-8") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        return
    while True:
        signal.pause()


# ---- Durations ----


@email_notification()
@app.task(base=BaseTask, name="test.takes", bind=True)
def takes(self, seconds):
    """Each run takes its number of seconds. The task is retried until the list ends."""
    time.sleep(seconds[self.request.retries])
    if self.request.retries + 1 < len(seconds):
        raise self.retry(countdown=0)


@email_notification()
@app.task(base=BaseTask, name="test.takes_in_transaction", bind=True)
@with_tenant_context
def takes_in_transaction(self, seconds, db=None):
    time.sleep(seconds)


# ---- A base of the application ----


class RetriedTask(BaseTask):
    """A base that does more than report."""

    autoretry_for = (Exception,)
    max_retries = 2
    default_retry_delay = 0

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        print(f"own on_failure of {task_id}")
        super().on_failure(exc, task_id, args, kwargs, einfo)


@email_notification()
@app.task(base=RetriedTask, name="test.retries_itself", bind=True)
@with_tenant_context
def retries_itself(self, good_run, db=None):
    db.execute(text("INSERT INTO public.test_set (name, tests) VALUES (:name, 1)"), {"name": self.request.id})
    db.flush()
    if self.request.retries + 1 != good_run:
        raise ValueError(f"run {self.request.retries + 1} is not good")


# ---- Killed tasks ----


@email_notification()
@app.task(base=BaseTask, name="test.hangs", bind=True)
@with_tenant_context
def hangs(self, db=None):
    db.execute(text("INSERT INTO public.test_set (name, tests) VALUES (:name, 1)"), {"name": self.request.id})
    db.flush()
    hang_the_first_time(self.request.id)
    return {"test_set_name": "survived"}


@email_notification()
@app.task(base=BaseTask, name="test.hangs_early", bind=True, acks_late=False)
def hangs_early(self):
    hang_the_first_time(self.request.id)


@email_notification()
@app.task(base=BaseTask, name="test.too_slow", bind=True, time_limit=1)
def too_slow(self):
    hang_the_first_time(self.request.id)


class HangsAtTheEnd(BaseTask):
    """Commits everything, and is killed before the broker gets the acknowledgement."""

    def after_return(self, status, retval, task_id, args, kwargs, einfo):
        hang_the_first_time(task_id)


@email_notification()
@app.task(base=HangsAtTheEnd, name="test.hangs_at_the_end", bind=True)
@with_tenant_context
def hangs_at_the_end(self, db=None):
    return {"test_set_name": "once"}


# ---- Who gets mail, and for which tasks ----


@app.task(base=BaseTask, name="test.undecorated")
def undecorated():
    return None


@app.task(base=BaseTask, name="test.registered", display_name=None)
def registered():
    return None


@app.task(base=BaseTask, name="test.below", bind=True)
@email_notification(subject_template="Below: {status}")
def below(self):
    return None


@shared_task(base=BaseTask, name="test.shared")
@email_notification(subject_template="Shared: {status}")
def shared():
    return None


@email_notification()
@app.task(base=BaseTask, name="test.takes_owner")
def takes_owner(user_id, organization_id):
    return {"test_set_name": f"{user_id} of {organization_id}"}


@email_notification()
@app.task(base=BaseTask, name="test.parent")
def parent():
    registered.delay()


@email_notification()
@app.task(base=BaseTask, name="test.replaced", bind=True)
def replaced(self):
    raise self.replace(registered.s())


@email_notification()
@app.task(base=BaseTask, name="test.rejected")
def rejected():
    raise Reject("not now", requeue=False)


@email_notification()
@app.task(base=BaseTask, name="test.tenant", bind=True)
@with_tenant_context
def tenant(self, db=None):
    query = text("SELECT current_setting('app.current_user') || ' of ' || current_setting('app.current_organization')")
    first = db.execute(query).scalar_one()
    db.commit()
    return {"test_set_name": first, "test_set_id": db.execute(query).scalar_one()}


# ---- Transactions of the task ----


@email_notification()
@app.task(base=BaseTask, name="test.own_session", bind=True)
def own_session(self, then):
    with Session(get_engine()) as db:
        db.execute(text("INSERT INTO public.test_set (name, tests) VALUES (:name, 1)"), {"name": self.request.id})
        self.report_success(db, {"test_set_name": "mine"})
        if then == "raise":
            raise RuntimeError("after the report")
        db.commit()


@email_notification()
@app.task(base=BaseTask, name="test.own_connection", bind=True)
def own_connection(self):
    with get_engine().begin() as db:
        db.execute(text("INSERT INTO public.test_set (name, tests) VALUES (:name, 1)"), {"name": self.request.id})
        self.report_success(db, {"test_set_name": "mine"})


@email_notification()
@app.task(base=BaseTask, name="test.fails_at_commit", bind=True)
@with_tenant_context
def fails_at_commit(self, db=None):
    db.execute(text("INSERT INTO public.promise VALUES (1), (1)"))
    return {"test_set_name": "never"}


@email_notification(subject_template="x" * 200_000)
@app.task(base=BaseTask, name="test.cannot_be_reported", bind=True)
@with_tenant_context
def cannot_be_reported(self, db=None):
    db.execute(text("INSERT INTO public.test_set (name, tests) VALUES (:name, 1)"), {"name": self.request.id})
    return {"secret": "not for the log"}


# ---- Unusual results and errors ----


class Rude:
    def __str__(self):
        raise RuntimeError("no words")


def recursive():
    value = {}
    value["self"] = value
    return value


def deep():
    value = []
    for _ in range(100_000):
        value = [value]
    return value


RESULTS = {
    "a list": lambda: [1, 2],
    "a text": lambda: "done",
    "a number": lambda: math.nan,
    "an object": Rude,
    "bytes": lambda: b"\0\xff",
    "known types": lambda: {"test_run_id": UUID(int=1), "test_set_name": date(2024, 1, 15), 7: True, None: None},
    "nul": lambda: {"test_set_name": "a\0b", "k\0ey": "\0", "backslash": "\\u0000 \\\\u0000 \\\0"},
    "surrogates": lambda: {"test_set_name": "a\ud800b", "\udfff": 1},
    "one bad item each": lambda: {
        "test_set_name": "kept", "nan": math.nan, "infinity": [math.inf], "rude": Rude(), "recursive": recursive(),
        "deep": deep(), "huge": "x" * 10_000_000, "tuple keys": {(1, 2): 3}, "large": 10 ** 5000},
    "many items": lambda: {f"item {number}": "x" * 1000 for number in range(5000)},
}

ERRORS = {
    "nul": lambda: ValueError("a\0b \ud800"),
    "huge": lambda: ValueError("x" * 100_000),
    "empty": KeyError,
    "rude": lambda: ValueError(Rude()),
}


@email_notification()
@app.task(base=BaseTask, name="test.returns", ignore_result=True)
def returns(kind):
    return RESULTS[kind]()


@email_notification()
@app.task(base=BaseTask, name="test.returns_in_transaction", bind=True, ignore_result=True)
@with_tenant_context
def returns_in_transaction(self, kind, db=None):
    return RESULTS[kind]()


@email_notification()
@app.task(base=BaseTask, name="test.raises", ignore_result=True)
def raises(kind):
    raise ERRORS[kind]()


@app.task(name="test.plain")
def plain():
    return None


try:
    email_notification(template=EmailTemplate.TASK_COMPLETION)(plain)
except TypeError as error:
    REFUSAL = str(error)
