"""Submits tasks: submit.py MODULE <calls.json. A call has the name of a task and the arguments
of apply_async. Prints their ids."""

import importlib
import json
import sys

app = importlib.import_module(sys.argv[1]).app
for call in json.load(sys.stdin):
    print(app.tasks[call.pop("task")].apply_async(**call).id)
