"""A private PostgreSQL with the extension, in a directory of its own, gone afterwards.

It runs from a copy of the staged PostgreSQL, and listens on a socket in that directory. PostgreSQL does not run as root: started
by root, it runs as the user postgres.
"""

import os
import shutil
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# For all: what is not here, or added, is PostgreSQL's default.
CONFIGURATION = """
shared_preload_libraries = 'rhesis_notify'
listen_addresses = ''
unix_socket_directories = '{socket}'
jit = off
"""


class Postgres:
    """with Postgres(directory) as server: runs while the block does. The directory must not be there yet.

    stage: what `make stage` has made, here or in another checkout.
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
        """Runs one of PostgreSQL's programs as its user; returns what it printed."""
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
        """What the databases need, once the server runs."""

    def __exit__(self, *_):
        if os.path.exists(f"{self.data}/postmaster.pid"):
            self.control("stop", "-m", "immediate")
        shutil.rmtree(self.directory, ignore_errors=True)
