#!/usr/bin/env python3
"""Whether every crate of the lock file has a licence and a source that deny.toml allows.

    cargo metadata --locked --format-version 1 | python .ci/licenses.py

The part of `cargo deny check licenses sources bans` that matters here, without compiling cargo-deny first.
"""

import json
import re
import sys
from pathlib import Path

import tomlkit

DENY = Path(__file__).resolve().parent.parent / "deny.toml"


def allowed(expression, licences):
    """Whether an SPDX expression can be met with `licences` alone. AND binds tighter than OR."""
    # Old crates write "MIT/Apache-2.0" for OR.
    tokens = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))

    def either():
        met = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            met = both() or met
        return met

    def both():
        met = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            met = one() and met
        return met

    def one():
        token = tokens.pop(0)
        if token == "(":
            met = either()
            if not tokens or tokens.pop(0) != ")":
                raise ValueError(expression)
            return met
        if token in (")", "AND", "OR", "WITH"):
            raise ValueError(expression)
        if tokens and tokens[0] == "WITH":
            tokens.pop(0)
            token = f"{token} WITH {tokens.pop(0)}"
        return token in licences

    try:
        met = either()
    except IndexError:
        raise ValueError(expression) from None
    if tokens:
        raise ValueError(expression)
    return met


def complaints(packages, deny):
    """One line for each crate that deny.toml does not let in."""
    licences = set(deny["licenses"]["allow"])
    exceptions = {entry["crate"]: set(entry["allow"]) for entry in deny["licenses"]["exceptions"]}
    registries = {f"registry+{url}" for url in deny["sources"]["allow-registry"]}
    banned = {entry["crate"]: entry["reason"] for entry in deny["bans"]["deny"]}

    for package in packages:
        crate = f"{package['name']} {package['version']}"
        if package["name"] in banned:
            yield f"{crate} is banned: {banned[package['name']]}"
        # A crate of this workspace has no source, but a licence all the same.
        if package["source"] is not None and package["source"] not in registries:
            yield f"{crate} comes from {package['source']}, which deny.toml does not allow"
        if not package["license"]:
            yield f"{crate} names no licence"
            continue
        try:
            met = allowed(package["license"], licences | exceptions.get(package["name"], set()))
        except ValueError:
            yield f"{crate} has a licence that cannot be read: {package['license']}"
            continue
        if not met:
            yield f"{crate} is under {package['license']}, which deny.toml does not allow"


def main():
    packages = json.load(sys.stdin)["packages"]
    found = sorted(complaints(packages, tomlkit.parse(DENY.read_text()).unwrap()))
    for line in found:
        print(line, file=sys.stderr)
    print(f"{len(packages)} crates, {len(found)} complaints")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
