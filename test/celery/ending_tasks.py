"""Tasks for test/t/celery_endings.pl: the ways in which a run can end, from Celery's
documentation."""

import asyncio
import os
import signal
import sys
import time

from celery import chord, group
from celery.contrib.abortable import AbortableTask
from celery.exceptions import Ignore, Reject
from sqlalchemy import text

from outcome_tasks import DIRECTORY, INSERT, app, collect, mailed, part, publish, wait_for
from rhesis_tasks import BaseTask, email_notification, with_tenant_context

CURRENT_USER = text("SELECT current_setting('app.current_user')")


def runs_of(name):
    """Returns how often the task of this name has been run, including this run."""
    with open(DIRECTORY / f"{name}.runs", "a", encoding="utf-8") as file:
        file.write("x")
    return (DIRECTORY / f"{name}.runs").stat().st_size


# ---- Retries ----


@mailed(max_retries=1)
def retries_in_vain(self, how):
    try:
        raise ValueError("the first cause")
    except ValueError as error:
        if how == "with exc":
            raise self.retry(exc=error, countdown=0)
        if how == "without exc":
            raise self.retry(countdown=0)
    raise self.retry(countdown=0)


@mailed(autoretry_for=(KeyError,), dont_autoretry_for=(IndexError,), max_retries=2, default_retry_delay=0)
@with_tenant_context
def retries_automatically(self, error, db=None):
    db.execute(CURRENT_USER)
    raise {"KeyError": KeyError, "IndexError": IndexError, "ValueError": ValueError}[error]("in vain")


@mailed(max_retries=0)
def may_not_retry(self):
    raise self.retry(exc=ValueError("never again"), countdown=0)


@mailed(max_retries=3)
def retries_elsewhere(self, where):
    if self.request.retries == 0:
        raise self.retry(args=["there"], kwargs={}, countdown=0, max_retries=1)
    return {"test_set_name": where}


# ---- Ends without a Python exception ----


@mailed()
def exits(self, how):
    if how == "sys.exit":
        sys.exit("enough")
    if how == "os._exit":
        os._exit(0)
    if how == "KeyboardInterrupt":
        raise KeyboardInterrupt
    if how == "CancelledError":
        raise asyncio.CancelledError("cancelled")
    if how == "MemoryError":
        raise MemoryError("too much")
    raise SystemExit(0)


@mailed(acks_late=True, reject_on_worker_lost=True)
@with_tenant_context
def dies_the_first_time(self, db=None):
    db.execute(CURRENT_USER)
    if runs_of(self.request.id) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"test_set_name": "the second run"}


@mailed(acks_late=True)
def dies_late(self):
    os.kill(os.getpid(), signal.SIGKILL)


@mailed(acks_late=True, acks_on_failure_or_timeout=False, time_limit=1)
def is_slow_the_first_time(self):
    """Celery 5.5 delivers it again, 5.2 does not."""
    if runs_of(self.request.id) == 1:
        time.sleep(600)
    return {"test_set_name": "the second run"}


@mailed(acks_late=True, acks_on_failure_or_timeout=False)
def fails_late(self):
    raise ValueError("fails late")


@mailed(soft_time_limit=1)
@with_tenant_context
def slow_in_session(self, db=None):
    db.execute(INSERT, {"id": "00000000-0000-0000-0000-0000000000aa", "name": "slow"})
    time.sleep(600)


@mailed()
def sleeps(self):
    (DIRECTORY / f"{self.request.id}.waits").touch()
    time.sleep(600)


@mailed()
def rejects_the_first_time(self):
    if runs_of(self.request.id) == 1:
        raise Reject("not now", requeue=True)
    return {"test_set_name": "the second run"}


rejects_the_first_time.acks_late = True


@mailed()
@with_tenant_context
def ignores_in_session(self, db=None):
    db.execute(CURRENT_USER)
    raise Ignore()


# ---- Results of tasks that were not run ----


@mailed(ignore_result=True)
def is_a_generator(self):
    yield 1


@mailed(ignore_result=True)
async def is_a_coroutine(self):
    return {"test_set_name": "never"}


@mailed(ignore_result=True, bind=False)
def makes_a_generator():
    return (number for number in range(3))


def refuses_to_decorate(function):
    try:
        with_tenant_context(function)
    except TypeError as error:
        return str(error)
    return None


# ---- Functions that Celery calls before or after a run ----


@with_tenant_context
def step(task, db=None):
    """A function that tasks call. It is not a task."""
    db.execute(CURRENT_USER)
    return {"test_set_name": "of a step"}


@mailed()
def fails_after_a_step(self):
    step(self)
    raise ValueError("after the step")


@mailed()
def goes_on_after_a_step(self):
    return {"test_set_name": "done with what is " + step(self)["test_set_name"]}


@mailed(bind=False)
@with_tenant_context
def unbound_step(db=None):
    return {"test_set_name": db.execute(CURRENT_USER).scalar_one()}


@mailed()
def fails_after_run(self):
    unbound_step.run()
    raise ValueError("after run()")


@mailed()
@with_tenant_context
def fails_in_session_after_run(self, db=None):
    unbound_step.run()
    unbound_step()
    publish.run()
    raise ValueError("after run()")


@app.task(name="test.foreign_calls")
def foreign_calls():
    return unbound_step.run()


class Template(BaseTask):
    """A base with its own run(), which derived classes call."""

    abstract = True

    @with_tenant_context
    def run(self, db=None):
        return {"test_set_name": db.execute(CURRENT_USER).scalar_one()}


class Derived(Template):
    abstract = False
    name = "test.derived"

    def run(self):
        super().run()
        raise ValueError("after the base's run")


email_notification()(Derived)
app.register_task(Derived())


@mailed()
def applies(self, then):
    inner = publish.apply(task_id=self.request.id + ", inner")
    again = nested.apply([2], task_id=self.request.id + ", nested")
    if then == "fails":
        raise ValueError("after apply()")
    return {"test_set_name": f"{inner.state} {again.state}"}


@mailed()
@with_tenant_context
def nested(self, depth, db=None):
    db.execute(CURRENT_USER)
    if depth:
        nested.apply([depth - 1], task_id=f"{self.request.id} {depth}")
    return {"test_set_name": f"depth {depth}"}


# ---- Bases ----


class AfterReturnFails(BaseTask):
    def after_return(self, status, retval, task_id, args, kwargs, einfo):
        raise RuntimeError("in after_return")


class BeforeStartFails(BaseTask):
    def before_start(self, task_id, args, kwargs):
        raise RuntimeError("in before_start")


@mailed(base=AfterReturnFails)
def after_return_fails(self, fails):
    if fails:
        raise ValueError("my own words")


@mailed(base=BeforeStartFails)
def before_start_fails(self):
    pass


class AbortableBase(BaseTask, AbortableTask):
    """A base that inherits from BaseTask and from AbortableTask."""

    abstract = True


@mailed(base=AbortableBase)
def abortable(self):
    wait_for(self.request.id)
    return {"test_set_name": "aborted" if self.is_aborted() else "not aborted"}


# ---- Row security ----


@mailed()
@with_tenant_context
def writes_note(self, project, db=None):
    db.execute(text("INSERT INTO public.note (project_id, organization_id, words) "
                    "VALUES (:project, CAST(current_setting('app.current_organization') AS uuid), 'a note')"), {"project": project})
    return {"test_set_name": str(db.execute(text("SELECT count(*) FROM public.note")).scalar_one())}


@mailed()
def starts_note(self, project):
    writes_note.apply_async([project], task_id=f"child of {self.request.id}")


# ---- Replaced tasks ----


@mailed()
def replaces_itself(self, with_what):
    raise self.replace(
        {"a task": publish.s(), "a chain": collect.si([1]) | publish.si(), "a group": group(publish.s(), collect.s([1])),
         "a chord": chord([part.s(1), part.s(2)], collect.s())}[with_what])


@mailed()
def replaces_itself_eagerly(self):
    return self.replace(publish.s())


@mailed()
@with_tenant_context
def replaces_itself_in_session(self, db=None):
    db.execute(INSERT, {"id": "00000000-0000-0000-0000-0000000000bb", "name": "replaced"})
    raise self.replace(publish.s())
