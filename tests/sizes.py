#!/usr/bin/env python3
"""Holds the sizes of the built functions (x86_64) to those that are kept: one that grows or shrinks by more than a twentieth fails.

What is measured is the profile `smoke`, without link-time optimisation and nearly twice as large as what is deployed: a twentieth of
it is a tenth of what is deployed, and that is what may be grown. So the profile `release` is held to what it was measured with, too.

    python3 tests/sizes.py target/smoke                     # compares with docs/binary-sizes.json
    python3 tests/sizes.py target/smoke --keep [NAME ...]   # keeps the present sizes, of all or of these: say why in the commit
"""
import json
import os
import sys
import tomllib

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
MANIFEST = os.path.join(ROOT, "Cargo.toml")
KEPT = os.path.join(ROOT, "docs", "binary-sizes.json")
EVENTS = os.path.join(ROOT, "events")
ALLOWED = 0.05
# What makes a deployed binary half the size of the measured one.
RELEASE = {"opt-level": "s", "lto": "fat", "codegen-units": 1, "strip": True, "panic": "unwind"}


def functions():
    """Every function's name: each has a sample event."""
    return sorted(name.removesuffix(".json") for name in os.listdir(EVENTS))


def measured(directory, names):
    """The sizes of their binaries, in bytes."""
    missing = [name for name in names if not os.path.isfile(os.path.join(directory, name))]
    if missing:
        sys.exit(f"{directory} has no {', '.join(missing)}")
    return {name: os.path.getsize(os.path.join(directory, name)) for name in names}


def main(arguments):
    if not arguments or arguments[1:2] not in ([], ["--keep"]):
        sys.exit(__doc__)
    with open(KEPT, encoding="utf-8") as file:
        kept = json.load(file)
    known = functions()
    if arguments[1:]:
        names = arguments[2:] or known
        unknown = [name for name in names if name not in known]
        if unknown:
            sys.exit(f"there is no function {', '.join(unknown)}")
        kept.update(measured(arguments[0], names))
        with open(KEPT, "w", encoding="utf-8") as file:
            json.dump({name: kept[name] for name in sorted(kept) if name in known}, file, indent=2)
            file.write("\n")
        return
    sizes = measured(arguments[0], known)
    wrong = [f"{name}: {size} is no size" for name, size in kept.items() if type(size) is not int or size <= 0]
    if wrong:
        sys.exit("\n".join(wrong))
    with open(MANIFEST, "rb") as file:
        release = tomllib.load(file)["profile"]["release"]
    if release != RELEASE:
        sys.exit(f"the profile release is {release}, and sizes are kept for {RELEASE}")
    wrong = [f"{name}: no size is kept" for name in sizes.keys() - kept.keys()]
    wrong += [f"{name}: there is no such function" for name in kept.keys() - sizes.keys()]
    for name in sizes.keys() & kept.keys():
        growth = sizes[name] / kept[name] - 1
        if abs(growth) > ALLOWED:
            wrong.append(f"{name}: {kept[name]} bytes were kept, {sizes[name]} are measured: {growth:+.0%}")
    total = sum(sizes.values()) / max(1, sum(kept.values()))
    print(f"{len(sizes)} binaries, {sum(sizes.values()) / 1e6:.0f} MB, {total - 1:+.1%} in all")
    if wrong:
        sys.exit("\n".join(sorted(wrong)) + "\nif that is meant: python3 tests/sizes.py DIRECTORY --keep NAME ...")


if __name__ == "__main__":
    main(sys.argv[1:])
