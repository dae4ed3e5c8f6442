#!/usr/bin/env python3
"""The end-to-end tests over ministack, an engine that is not ours, in place of the embedded cloud.

    python -m venv .venv-ministack
    .venv-ministack/bin/pip install -r .ci/requirements-ministack.txt
    .venv-ministack/bin/python tests/ministack.py [filters of tests]

Tests run one after the other, each on an engine that was emptied. docs/ARCHITECTURE.md says what differs.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Seconds that the engine may take to start.
PATIENCE = 60
# The account's own user, as the laptop has it: local_aws::ACCESS_KEY_ID and SECRET_ACCESS_KEY.
USER = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(url, engine):
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and engine.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/_ministack/ready", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    sys.exit("ministack does not start: see its output above")


def main():
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | USER | {"AUTH": "true", "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "LOG_LEVEL": "ERROR"}
        engine = subprocess.Popen([sys.executable, "-m", "ministack"], cwd=folder, env=environment)
        try:
            wait_for(url, engine)
            tests = ["cargo", "test", "--workspace", "--test", "e2e", "--locked", "--", "--test-threads=1", *sys.argv[1:]]
            os.environ.pop("ARCANA_API_URL", None)
            return subprocess.run(tests, cwd=ROOT, env=os.environ | {"AWS_ENDPOINT_URL": url}, check=False).returncode
        finally:
            # It keeps nothing that could be lost.
            engine.kill()
            engine.wait()


if __name__ == "__main__":
    sys.exit(main())
