"""Submits the demo's tasks as a user of the application would, and shows the state of their mails."""

from __future__ import annotations

import os
import sys
import time
from uuid import uuid4

from sqlalchemy import create_engine, text

from demo_app import check_endpoint, execute_test_configuration, export, generate_test_set

OWNER = {
    "user_id": os.environ.get("DEMO_USER", "b0000000-0000-4000-8000-000000000001"),
    "organization_id": os.environ.get("DEMO_ORGANIZATION", "a0000000-0000-4000-8000-000000000001"),
}
STATES = text("""
    SELECT format('%-18s %-8s %-8s %s', split_part(task_name, '.', 2), status, delivery_status,
                  coalesce(smtp_reply, delivery_reason)) AS line, finished_at IS NOT NULL AS is_finished
    FROM rhesis_notify.task_notifications WHERE task_name LIKE 'demo.%' AND created_at >= :start ORDER BY id
""")
MAILS = 6
LIMIT = 600  # seconds; with a running worker a few are enough


def main() -> None:
    engine = create_engine(os.environ["DATABASE_URL"])
    with engine.connect() as connection:
        start = connection.execute(text("SELECT now()")).scalar_one()

    generate_test_set.apply_async(["Safety & Tone", 50], headers=OWNER)
    generate_test_set.apply_async(["Too Large", 5000], headers=OWNER, task_id=f"too-large-{uuid4()}")
    check_endpoint.apply_async([2], headers=OWNER)
    check_endpoint.apply_async([9], headers=OWNER)
    export.delay(**OWNER)
    execute_test_configuration.apply_async(["API Tests", 20], headers=OWNER)

    print(f"Waiting until {MAILS} notifications are finished, {LIMIT} s at most ...", file=sys.stderr)
    rows: list = []
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline and sum(row.is_finished for row in rows) < MAILS:
        time.sleep(0.2)
        with engine.begin() as connection:
            connection.execute(
                text("SELECT set_config('app.current_organization', :organization_id, true)"), OWNER)
            rows = connection.execute(STATES, {"start": start}).all()
    print("\n".join(row.line for row in rows))
    finished = sum(row.is_finished for row in rows)
    if finished < MAILS:
        sys.exit(f"After {LIMIT} s {finished} of {MAILS} notifications are finished. Does the Celery worker run? "
                 "SELECT * FROM rhesis_notify.health() shows whether mail is sent.")


if __name__ == "__main__":
    main()
