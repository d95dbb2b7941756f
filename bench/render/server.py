"""Measurements in a private server, which is removed at the end."""

import json
import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness.postgres import Postgres  # noqa: E402

ROWS = 10000


class Server(Postgres):
    configuration = "fsync = off\n"

    def __init__(self):
        self.scratch = tempfile.mkdtemp(prefix="rhesis-bench-", dir="/tmp")
        os.chmod(self.scratch, 0o755)
        super().__init__(f"{self.scratch}/server")

    def set_up(self):
        self.run("psql", "-X", "-q", "-c", "CREATE EXTENSION rhesis_notify")

    def __exit__(self, *_):
        super().__exit__()
        shutil.rmtree(self.scratch)

    def render_time(self, mail, variables):
        """Microseconds of processor time per mail, for many mails that one query renders."""
        used = "SELECT pg_catalog.split_part(pg_catalog.pg_read_file('/proc/self/schedstat', 0, 100), ' ', 1);"
        render = f"""
            SELECT pg_catalog.sum(pg_catalog.octet_length(html)) > 0 AS rendered
            FROM pg_catalog.generate_series(1, {ROWS}) AS row,
                 rhesis_notify.render_template(:'mail', :'variables'::jsonb || pg_catalog.jsonb_build_object('row', row));
        """
        output = self.run("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-v", f"mail={mail}",
                          "-v", f"variables={json.dumps(variables)}", input=render + used + render + used)
        _, before, _, after = output.split()
        return (int(after) - int(before)) / 1000 / ROWS
