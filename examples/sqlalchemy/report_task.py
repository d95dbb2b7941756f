"""Reports a task to rhesis_notify from SQLAlchemy 1.4 or 2."""

from __future__ import annotations

import dataclasses
import enum
import json
import logging
import math
import re
from collections import deque
from collections.abc import Mapping, Sequence, Set
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, Dict, List, Optional, Tuple

from sqlalchemy import text

logger = logging.getLogger(__name__)

REPORT = text("""
    SELECT rhesis_notify.task_completed(
        task_id => :task_id, task_name => :task_name, status => :status, user_id => :user_id,
        organization_id => :organization_id, result => CAST(:result AS jsonb), error_message => :error_message,
        started_at => :started_at, completed_at => :completed_at, template => :template)
""")


def report_task(session, task_id, task_name, status, user_id, organization_id=None, result=None,
                error_message=None, started_at=None, template=None):
    """Call it in the transaction of the task's last write: mail is sent exactly if that commits.

    Returns the row's id, or None, with a warning in the log, for a task that has reported before.
    """
    items = plain_result(result)
    row_id = session.execute(REPORT, {
        "task_id": str(task_id), "task_name": task_name, "status": status,
        "user_id": None if user_id is None else str(user_id),
        "organization_id": None if organization_id is None else str(organization_id),
        "result": None if items is None else json.dumps(items, ensure_ascii=False),
        "error_message": None if error_message is None else plain_text(error_message),
        "started_at": started_at, "completed_at": datetime.now(timezone.utc), "template": template}).scalar_one()
    if row_id is None:
        logger.warning("Task %s[%s] has reported before: its first report stays", task_name, task_id)
    return row_id


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
