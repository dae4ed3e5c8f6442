#!/usr/bin/env python3
"""Each right that the template gives a function is missed once it is taken away.

    ARCANA_PERMISSIONS_LOG=$PWD/target/rights.log cargo test-all
    python tests/permissions.py target/rights.log --sample 10
    python tests/permissions.py target/rights.log

The log tells which test used which right. A right is taken away (ARCANA_WITHHELD) from the bundle of a test that used it, and
the endpoint has to deny the function that very action. The test itself mostly fails then; one that does not says so here.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Seconds that one test may take.
PATIENCE = 300
# Tests that are tried for one right.
TESTS = 3
# They take minutes, and others use most of the same rights.
SLOW = ("kills::", "registrations::", "outages::", "throttled::", "repeats::", "cost::", "consumers::")


def lines(log):
    for line in log.read_text().splitlines():
        decision = json.loads(line)
        yield decision["by"], (decision["role"], decision["action"], decision["resource"]), decision["allowed"]


def binary(profile):
    """The end-to-end tests, built."""
    command = ["cargo", "test", "--workspace", "--test", "e2e", "--no-run", "--locked", "--profile", profile, "--message-format=json"]
    messages = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    artifacts = (json.loads(line) for line in messages.splitlines())
    return next(a["executable"] for a in artifacts if a.get("executable") and a["target"]["name"] == "e2e")


def withheld(program, right, test):
    """Whether the action is denied to the function in a run of the test without the right, and whether the test fails."""
    role, action, resource = right
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        log.touch()
        environment = os.environ | {"ARCANA_WITHHELD": " ".join(right), "ARCANA_PERMISSIONS_LOG": str(log)}
        try:
            run = subprocess.run(
                [program, "--exact", test], cwd=ROOT / "local", env=environment, timeout=PATIENCE,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            failed = run.returncode != 0
        except subprocess.TimeoutExpired:
            failed = True
        denied = any(
            not allowed and of == role and did.lower() == action.lower() and fnmatchcase(what, resource)
            for _, (of, did, what), allowed in lines(log)
        )
    return denied, failed


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("log", type=Path)
    arguments.add_argument("--sample", type=int, help="so many rights drawn at random, instead of all")
    arguments.add_argument("--seed", type=int, default=None, help="what they are drawn by")
    arguments.add_argument("--profile", default="dev", help="cargo's, of the tests that are run")
    given = arguments.parse_args()

    users = defaultdict(set)
    uses = Counter()
    for test, right, allowed in lines(given.log):
        if allowed:
            users[right].add(test)
            # A slow one is taken where there is no other.
            uses[test] += 1000 if test.startswith(SLOW) else 1
    # What SAM adds for a function's events names no resource: the template does not give it.
    rights = sorted(right for right in users if right[2] != "*")
    seed = random.randrange(2**32) if given.seed is None else given.seed
    if given.sample is not None:
        rights = random.Random(seed).sample(rights, min(given.sample, len(rights)))
        print(f"drawn by --seed {seed}")
    program = binary(given.profile)

    def of(right):
        # The test that does the least; where it has used the right by chance, and not this time, the next ones.
        for test in sorted(users[right], key=lambda test: (uses[test], test))[:TESTS]:
            denied, failed = withheld(program, right, test)
            if denied:
                break
        return right, test, denied, failed

    missed = unnoticed = 0
    with ThreadPoolExecutor(2) as pool:
        for right, test, denied, failed in pool.map(of, rights):
            missed += denied
            unnoticed += denied and not failed
            outcome = "denied" if denied else "NOT DENIED"
            print(f"{outcome:10}  {'test fails' if failed else 'test passes':11}  {' '.join(right)}  in {test}", flush=True)
    print(f"{missed} of {len(rights)} rights were missed; {unnoticed} of them their test does not notice")
    return 0 if rights and missed == len(rights) else 1


if __name__ == "__main__":
    sys.exit(main())
