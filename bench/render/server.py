"""A private PostgreSQL with the extension, for measurements within the server.

It runs in a directory of its own under /tmp, with a copy of the staged PostgreSQL, listens on a socket there, and is gone
afterwards. PostgreSQL does not run as root: started by root, it runs as the user postgres.
"""

import json
import os
import shutil
import subprocess
import tempfile

ROWS = 10000

CONFIGURATION = """
shared_preload_libraries = 'rhesis_notify'
listen_addresses = ''
unix_socket_directories = '{0}'
fsync = off
jit = off
"""


class Server:
    def __init__(self, top):
        config = os.environ.get("PG_CONFIG", "pg_config")
        bindir = subprocess.run([config, "--bindir"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        self.scratch = tempfile.mkdtemp(prefix="rhesis-bench-", dir="/tmp")
        self.stage = os.path.join(top, "build", "stage")
        self.bindir = f"{self.scratch}/stage{bindir}"
        self.data = f"{self.scratch}/data"
        self.as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []

    def run(self, program, *arguments, **options):
        environment = {"PATH": "/usr/bin:/bin", "HOME": self.scratch, "LANG": "C.UTF-8", "PGHOST": self.scratch,
                       "PGUSER": "postgres", "PGDATABASE": "postgres"}
        return subprocess.run([*self.as_user, f"{self.bindir}/{program}", *arguments], check=True, env=environment,
                              cwd=self.scratch, stdout=subprocess.PIPE, text=True, **options).stdout

    def __enter__(self):
        try:
            shutil.copytree(self.stage, f"{self.scratch}/stage", symlinks=True)
            if self.as_user:
                subprocess.run(["chown", "-R", "postgres", self.scratch], check=True)
            self.run("initdb", "-D", self.data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-N")
            with open(f"{self.data}/postgresql.conf", "a", encoding="utf-8") as file:
                file.write(CONFIGURATION.format(self.scratch))
            self.run("pg_ctl", "-D", self.data, "-l", f"{self.scratch}/log", "-w", "start")
            self.run("psql", "-X", "-q", "-c", "CREATE EXTENSION rhesis_notify")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if os.path.exists(f"{self.data}/postmaster.pid"):
            self.run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(self.scratch)

    def render_time(self, mail, variables):
        """Microseconds of the processor's time for each of many mails rendered by one query."""
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
