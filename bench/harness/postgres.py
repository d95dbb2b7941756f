"""A private PostgreSQL with the extension, in its own directory. It is removed at the end.

It runs from a copy of the staged PostgreSQL and listens on a socket in that directory.
PostgreSQL does not run as root. If root starts it, it runs as the user postgres.
"""

import os
import shutil
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# The same settings for all. Other settings have PostgreSQL's defaults, unless a class adds them.
CONFIGURATION = """
shared_preload_libraries = 'rhesis_notify'
listen_addresses = ''
unix_socket_directories = '{socket}'
jit = off
"""


class Postgres:
    """"with Postgres(directory) as server": the server runs while the block runs. The directory
    must not exist before.

    stage is the result of `make stage` in this checkout or in another one.
    """

    database = "postgres"
    configuration = ""

    def __init__(self, directory, stage=f"{TOP}/build/stage"):
        config = os.environ.get("PG_CONFIG", "pg_config")
        bindir = subprocess.run([config, "--bindir"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        self.directory, self.stage = directory, stage
        self.bindir = f"{directory}/stage{bindir}"
        self.data = f"{directory}/data"
        self.log = f"{directory}/server.log"
        self.as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []

    def run(self, program, *arguments, **options):
        """Runs a program of PostgreSQL as the user of the server. Returns its output."""
        environment = {"PATH": "/usr/bin:/bin", "HOME": self.directory, "LANG": "C.UTF-8", "PGHOST": self.directory,
                       "PGUSER": "postgres", "PGDATABASE": self.database}
        return subprocess.run([*self.as_user, f"{self.bindir}/{program}", *arguments], check=True, env=environment,
                              cwd=self.directory, stdout=subprocess.PIPE, text=True, **options).stdout

    def control(self, *action):
        self.run("pg_ctl", "-D", self.data, "-l", self.log, "-s", "-w", *action)

    def __enter__(self):
        try:
            os.makedirs(self.directory)
            shutil.copytree(self.stage, f"{self.directory}/stage", symlinks=True)
            if self.as_user:
                subprocess.run(["chown", "-R", "postgres", self.directory], check=True)
            self.run("initdb", "-D", self.data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-N")
            with open(f"{self.data}/postgresql.conf", "a", encoding="utf-8") as file:
                file.write((CONFIGURATION + self.configuration).format(socket=self.directory))
            self.control("start")
            self.set_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def set_up(self):
        """Prepares the databases after the server has started."""

    def __exit__(self, *_):
        if os.path.exists(f"{self.data}/postmaster.pid"):
            self.control("stop", "-m", "immediate")
        shutil.rmtree(self.directory, ignore_errors=True)
