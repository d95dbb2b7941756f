"""The machine that the figures were measured on."""

import datetime
import os
import platform
import ssl
import subprocess

from . import peers


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip()


def field(path, name):
    with open(path, encoding="utf-8") as file:
        return next((line.partition(":")[2].strip() for line in file if line.startswith(name)), "unknown")


def revision(top):
    """The commit. "-dirty" is added if files differ from it; the results do not count, because
    the run itself writes them."""
    try:
        changed = output("git", "-C", top, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench/results")
        return output("git", "-C", top, "describe", "--always") + ("-dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "no checkout"


def here():
    """The machine, its software and the date."""
    memory = int(field("/proc/meminfo", "MemTotal").split()[0]) / 1024 ** 2
    return [
        ("date", datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")),
        ("machine", f"{os.cpu_count()} cores of {field('/proc/cpuinfo', 'model name')}, {memory:.0f} GiB of memory, "
                    f"{platform.freedesktop_os_release()['PRETTY_NAME']}, Linux {platform.release()}"),
    ]


def facts(top, cluster_version, durability):
    """durability is {setting: value}, as the measured server reports it."""
    return [
        *here(),
        ("rhesis_notify", f"{revision(top)}, {output('curl-config', '--version')}, {ssl.OPENSSL_VERSION}"),
        ("PostgreSQL", f"{cluster_version}; one server for all, "
                       f"{', '.join(f'{name} {value}' for name, value in durability.items())}, the settings of bench/harness/cluster.py"),
        ("graphile-worker", f"{peers.version('graphile-worker')}; bench/peers/graphile-worker.js"),
        ("pg-boss", f"{peers.version('pg-boss')}; bench/peers/pg-boss.js"),
        ("nodemailer", f"{peers.version('nodemailer')}, Handlebars {peers.version('handlebars')}, Node {peers.node_version()}"),
        ("Python", f"{platform.python_version()}, smtplib; bench/peers/connection_per_mail.py"),
        ("libcurl", f"{output('curl-config', '--version').split()[1]}; bench/peers/libcurl.c"),
        ("smtp-source", f"Postfix {output('dpkg-query', '-W', '-f', '${Version}', 'postfix')}"),
    ]
