#!/usr/bin/env python
"""Malformed input for everything that reads what others wrote, by the ten thousand, from seeds.

    python scripts/fuzz.py
    python scripts/fuzz.py --target policy --target reader --cases 2000 --first 5000
    python scripts/fuzz.py --target checkpoint --first 17 --cases 1   # one case again

Each target runs in a process of its own, under a limit of memory and, for each case, of time. A case fails by
raising anything but a refusal in one sentence, by going on for more than 20 seconds, by taking more than its
memory, by losing a good row, by running a pickle, or by a decision out of bounds. Prints a table and failures with
their seeds; exits 1 if there was one.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when numpy is imported

import argparse
import multiprocessing
import multiprocessing.connection
import sys
import tempfile
from pathlib import Path

from fuzzing.target import CASE_S, Tally, Target, play

MODULES = {
    "reader": "rows",
    "flood": "rows",
    "policy": "policies",
    "policy-leaf": "policies",
    "decide-state": "policies",
    "checkpoint": "checkpoints",
    "resumed-run": "resumed",
    "resumed-training": "resumed",
    "command-line": "command_line",
    "report": "command_line",
}
# Cases unless asked otherwise: more than fifteen thousand in all.
CASES = {
    "reader": 4000,
    "flood": 300,
    "policy": 3000,
    "policy-leaf": 4100,  # of about four thousand places
    "decide-state": 2000,
    "checkpoint": 1500,
    "resumed-run": 400,
    "resumed-training": 400,
    "command-line": 1000,
    "report": 400,
}


def main() -> int:
    """Play the targets one after another, and say what came of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--target", action="append", choices=list(MODULES), help="only these")
    parser.add_argument("--cases", type=int, help="cases of each target")
    parser.add_argument("--first", type=int, default=0, help="seed of the first case")
    args = parser.parse_args()
    tallies = []
    for name in args.target or MODULES:
        tally = apart(name, first=args.first, count=args.cases or CASES[name])
        tallies.append(tally)
        outcomes = ", ".join(f"{count:,} {what}" for what, count in sorted(tally.outcomes.items()))
        counts = f"{tally.cases:6,} cases, {len(tally.failures)} failed, slowest {tally.slowest_s:.1f} s"
        print(f"{name:16} {counts}: {outcomes}")
        for failure in tally.failures[:5]:
            print(failure)
        sys.stdout.flush()
    failed = sum(len(tally.failures) for tally in tallies)
    print(f"{'all':16} {sum(tally.cases for tally in tallies):6,} cases, {failed} failed")
    return 1 if failed else 0


def apart(name: str, *, first: int, count: int) -> Tally:
    """A target in a process of its own, which dies with whatever it broke."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as scratch:
        mine, its = context.Pipe(duplex=False)
        worker = context.Process(target=_work, args=(name, first, count, Path(scratch), its))
        worker.start()
        its.close()
        try:
            # Its own alarm rings long before; this is for code that no signal interrupts, on a busy machine.
            over = not mine.poll(600 + count * 5 + 3 * CASE_S)
            tally: Tally | None = None if over else mine.recv()
        except EOFError:
            tally = None
        worker.kill()
        worker.join()
        if tally is None:
            tally = Tally(target=name, cases=count)
            tally.outcomes["FAILED"] = count
            tally.failures.append(f"{name}: the process died or hung (exit code {worker.exitcode})")
        return tally


def _work(
    name: str, first: int, count: int, scratch: Path, out: multiprocessing.connection.Connection
) -> None:
    out.send(play(target(name), first=first, count=count, scratch=scratch))


def target(name: str) -> Target:
    """A target by name; only its module is imported, since one of them needs PyTorch."""
    from importlib import import_module

    targets: tuple[Target, ...] = import_module(f"fuzzing.{MODULES[name]}").TARGETS
    return next(each for each in targets if each.name == name)


if __name__ == "__main__":
    sys.exit(main())
