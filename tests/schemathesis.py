#!/usr/bin/env python3
"""Holds a running bundle to docs/openapi.json: thousands of requests, good ones and bad ones.

    python tests/schemathesis.py target/debug/local

Each operation is asked by nobody, by a user and by an admin; tests/schemathesis.toml says what for.
"""

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "Analytical-Engine-1843"
# What ends the session of whoever asks, so that nothing after it would be let in.
ENDS_SESSION = ["auth-logout-all", "auth-change-password", "auth-delete-me", "auth-end-session"]
# An admin may do this to any account, the own one among them.
ENDS_ANY_SESSION = [*ENDS_SESSION, "users-roles", "users-status"]


def send(url, body, method="POST", token=None):
    """The JSON that `url` answers to `body`."""
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def token_of(api, email, role=None):
    """The access token of a new account."""
    account = {"name": "Ada Lovelace", "email": email, "password": PASSWORD}
    send(f"{api}/api/v1/auth/register", account)
    if role:
        send(f"{api}/_local/invoke/users-grant-role", {"email": email, "role": role})
    return send(f"{api}/api/v1/auth/login", {"email": email, "password": PASSWORD})["accessToken"]


def product_of(api, token):
    """The id of a new product that everybody sees."""
    product = {"name": "Analytical Engine", "price": 19.9, "currency": "EUR", "stock": 1000, "category": "Machines"}
    made = send(f"{api}/api/v1/products", product, token=token)["id"]
    send(f"{api}/api/v1/products/{made}", {"status": "ACTIVE"}, "PUT", token)
    return made


def ask(api, leavings, who, token=None, without=()):
    """Asks every operation but those `without`; answers whether all held. What the tool leaves goes to `leavings`."""
    print(f"\n--- asked by {who}", flush=True)
    command = ["schemathesis", "--config-file", str(ROOT / "tests/schemathesis.toml"), "run"]
    command += [f"{api}/api/v1/openapi.json", "--warnings", "off", "--no-color"]
    command += [part for name in without for part in ("--exclude-operation-id", name)]
    if token:
        command += ["--header", f"Authorization: Bearer {token}"]
    # The tool of the same environment as this interpreter.
    command[0] = str(Path(sys.executable).parent / command[0])
    return subprocess.run(command, check=False, cwd=leavings).returncode == 0


def main(program):
    program = Path(program).resolve()
    leavings = program.parent
    ports = ["--port", "0", "--aws-port", "0"]
    bundle = subprocess.Popen([program, "--memory", *ports], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        line = bundle.stdout.readline()
        found = re.search(r"API on (http://\S+),", line)
        if not found:
            sys.exit(f"{program} did not start: {line}")
        api = found[1]
        # It would stop at a full pipe: each request leaves a line.
        drain = subprocess.Popen(["cat"], stdin=bundle.stdout, stdout=subprocess.DEVNULL)
        admin = token_of(api, "admin@example.com", "admin")
        # tests/schemathesis.toml takes it from there.
        os.environ["ARCANA_PRODUCT"] = product_of(api, admin)
        held = [
            ask(api, leavings, "nobody"),
            ask(api, leavings, "a user", token_of(api, "user@example.com"), ENDS_SESSION),
            ask(api, leavings, "an admin", admin, ENDS_ANY_SESSION),
        ]
    finally:
        bundle.terminate()
        bundle.wait(60)
    drain.wait(60)
    sys.exit(0 if all(held) else "the API does not hold to its document")


main(*sys.argv[1:])
