#!/usr/bin/python3
"""A task that sends its own mail: it connects, starts TLS, logs in, sends, and quits. The text
of the mail is fixed, so nothing is rendered.

    connection_per_mail.py CONFIG      starts when it reads a line
"""

import json
import multiprocessing
import smtplib
import ssl
import sys

config = json.loads(sys.argv[1])
with open(config["message"], "rb") as file:
    MESSAGE = file.read()
CONTEXT = ssl.create_default_context(cafile=config["ca"])


def send(count):
    for number in range(1, count + 1):
        with smtplib.SMTP("localhost", config["port"]) as server:
            server.starttls(context=CONTEXT)
            server.login(config["user"], config["password"])
            server.sendmail("noreply@bench.example", [f"user{number}@bench.example"], MESSAGE)


print("ready", flush=True)
sys.stdin.readline()
processes = [multiprocessing.Process(target=send, args=[config["count"] // config["processes"]])
             for _ in range(config["processes"])]
for process in processes:
    process.start()
for process in processes:
    process.join()
