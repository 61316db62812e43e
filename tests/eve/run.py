#!/usr/bin/env python3
"""Breaks the product on purpose, at least once for each claim, and fails if a claim doesn't notice.

    python3 tests/eve/run.py                every mutation of mutations.toml
    python3 tests/eve/run.py 3 11           those of these claims
    python3 tests/eve/run.py --from 20      those of this claim and the following ones
    python3 tests/eve/run.py --record FILE  also writes the table of tests/eve/README.md

Each is applied in a scratch copy of the tree (target/eve, kept between runs so that cargo builds
only what changed), the claim's own test is run there, and must turn red. One build per mutation.
Standard library only (Python 3.11 or later). Exits with 1 if a claim stays green.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRATCH = ROOT / "target" / "eve"
TREES = ["src", "tests", "benches", "examples", "assets"]
FILES = ["Cargo.toml", "Cargo.lock", "clippy.toml", "README.md"]
# Some broken programs wait for ever: that is noticed, too.
PATIENCE = 300


def copy():
    SCRATCH.mkdir(parents=True, exist_ok=True)
    wanted = set()
    for tree in TREES:
        for path in (ROOT / tree).rglob("*"):
            if path.is_file():
                wanted.add(path.relative_to(ROOT))
    wanted.update(pathlib.Path(name) for name in FILES)
    for tree in TREES:
        for path in list((SCRATCH / tree).rglob("*")):
            if path.is_file() and path.relative_to(SCRATCH) not in wanted:
                path.unlink()
    for path in wanted:
        put(ROOT / path, SCRATCH / path)


def put(path, to):
    """Copies only what differs: cargo looks at times."""
    to.parent.mkdir(parents=True, exist_ok=True)
    if not to.exists() or to.read_bytes() != path.read_bytes():
        shutil.copyfile(path, to)


def edits(mutation):
    return mutation.get("edits") or [{k: mutation[k] for k in ("file", "line", "with")}]


def apply(edit):
    path = SCRATCH / edit["file"]
    text = path.read_text()
    lines = text.split("\n")
    if lines.count(edit["line"]) != 1:
        raise SystemExit(f"{edit['file']}: the line is there {lines.count(edit['line'])} times: {edit['line']!r}")
    lines[lines.index(edit["line"])] = edit["with"]
    path.write_text("\n".join(lines))


def run(claim):
    test = f"claim_{claim:02}"
    built = subprocess.run(
        ["cargo", "test", "--test", "prove", "--no-run", "--quiet"],
        cwd=SCRATCH, capture_output=True, text=True,
    )
    if built.returncode != 0:
        return "does not compile", built.stderr[-2000:]
    try:
        result = subprocess.run(
            ["cargo", "test", "--quiet", "--test", "prove", "--", "--exact", test],
            cwd=SCRATCH, capture_output=True, text=True, timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return "red (hangs)", ""
    if "1 passed" not in result.stdout and "1 failed" not in result.stdout and result.returncode == 0:
        return "no such test", result.stdout
    said = (result.stdout + result.stderr).splitlines()
    why = [line.partition(': ["')[2].rstrip(']"') for line in said if ': ["' in line]
    # A panic in the tests themselves: not even a call for the attack comes about.
    why = why or ["panics at " + line.partition("panicked at ")[2] for line in said if "panicked at " in line]
    why = (why or ["it ends the program"])[0].strip().replace('", "', "; ")
    return ("red" if result.returncode else "GREEN"), why if result.returncode else ""


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("claims", nargs="*", type=int, metavar="CLAIM")
    options.add_argument("--from", type=int, default=0, dest="first", metavar="CLAIM")
    options.add_argument("--record", type=pathlib.Path, metavar="FILE")
    options = options.parse_args()
    mutations = tomllib.loads((ROOT / "tests/eve/mutations.toml").read_text())["mutation"]
    rows = []
    bad = 0
    for mutation in mutations:
        claim = mutation["claim"]
        if claim < options.first or (options.claims and claim not in options.claims):
            continue
        copy()
        for edit in edits(mutation):
            apply(edit)
        begun = time.monotonic()
        colour, why = run(claim)
        bad += not colour.startswith("red")
        print(f"{claim:>3}  {colour:<12} {mutation['what']}: {why} ({time.monotonic() - begun:.0f} s)", flush=True)
        rows.append(f"| {claim} | {mutation['what']} | {colour} | {why} |\n")
        if options.record:
            options.record.write_text("| | what was broken | | what was noticed |\n|---|---|---|---|\n" + "".join(rows))
    copy()
    print("every claim noticed" if not bad else f"{bad} did not turn red")
    return 1 if bad or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
