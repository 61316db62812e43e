#!/usr/bin/env python3
"""Breaks the product on purpose, once for each claim, and fails if a claim doesn't notice.

    python3 tests/eve/run.py            every mutation of mutations.toml
    python3 tests/eve/run.py 3 11       those of these claims

Each is applied in a scratch copy of the tree (target/eve, kept between runs so that cargo builds
only what changed), the claim's own test is run there, and must turn red. One build per mutation.
Standard library only (Python 3.11 or later). Exits with 1 if a claim stays green.
"""

import pathlib
import shutil
import subprocess
import sys
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRATCH = pathlib.Path(sys.argv[0]).resolve().parents[2] / "target" / "eve"
TREES = ["src", "tests", "benches", "examples", "assets"]
FILES = ["Cargo.toml", "Cargo.lock", "clippy.toml", "README.md"]


def copy():
    SCRATCH.mkdir(parents=True, exist_ok=True)
    for tree in TREES:
        for path in (ROOT / tree).rglob("*"):
            if path.is_file():
                put(path, SCRATCH / path.relative_to(ROOT))
    for name in FILES:
        put(ROOT / name, SCRATCH / name)


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


def cargo(*args):
    return subprocess.run(["cargo", *args], cwd=SCRATCH, capture_output=True, text=True)


def run(claim):
    test = f"claim_{claim:02}"
    built = cargo("test", "--test", "prove", "--no-run", "--quiet")
    if built.returncode != 0:
        return "does not compile", built.stderr[-2000:]
    try:
        result = subprocess.run(
            ["cargo", "test", "--quiet", "--test", "prove", "--", "--exact", test],
            cwd=SCRATCH, capture_output=True, text=True, timeout=300,
        )
    except subprocess.TimeoutExpired:
        return "red (hangs)", ""
    if "1 passed" not in result.stdout and "1 failed" not in result.stdout and result.returncode == 0:
        return "no such test", result.stdout
    why = [line for line in (result.stdout + result.stderr).splitlines() if "[\"" in line]
    return ("red" if result.returncode else "GREEN"), (why or [""])[0].strip()


def main():
    wanted = {int(arg) for arg in sys.argv[1:]}
    mutations = tomllib.loads((ROOT / "tests/eve/mutations.toml").read_text())["mutation"]
    bad = 0
    for mutation in mutations:
        claim = mutation["claim"]
        if wanted and claim not in wanted:
            continue
        copy()
        for edit in edits(mutation):
            apply(edit)
        begun = time.monotonic()
        colour, why = run(claim)
        bad += not colour.startswith("red")
        print(f"{claim:>3}  {colour:<16} {mutation['what']} ({time.monotonic() - begun:.0f} s) {why}", flush=True)
    copy()
    print("every claim noticed" if not bad else f"{bad} did not turn red")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
