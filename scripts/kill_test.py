#!/usr/bin/env python
"""SIGKILL at random moments, resume, and compare everything with the run that was not killed.

    python scripts/kill_test.py run --kills 100 --out kills-run.json
    python scripts/kill_test.py train --kills 30 --out kills-train.json

`run` takes turns over files, folders, builtin text, standard input (with --spool) and a file that grows while it
is followed; `train` goes through a surrogate, a hindsight and a language stage. A run is killed up to `--per-run`
times, each time after a uniformly random share of the time that the whole run takes, and resumed; then it is left
to end, and its logs, curves, weights and final state are compared bit by bit. Exits 1 if anything differs.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when numpy is imported

import argparse
import json
import random
import sys
import tempfile
import time
from importlib.metadata import version
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

import olrl.analysis.figures
import olrl.run_command  # noqa: F401 # imported once, before processes are forked
from kills.runs import KINDS, RunSubject
from kills.training import TrainSubject
from olrl.models.load import load_model

Subject = RunSubject | TrainSubject


def main() -> int:
    """Kill, compare, write."""
    args = _arguments()
    torch.set_num_threads(1)  # no thread pool, which a fork would lose
    load_model("pico")  # and so what transformers imports only then
    scratch = Path(args.scratch or tempfile.mkdtemp(prefix="olrl-kills-"))
    scratch.mkdir(parents=True, exist_ok=True)
    log, started = scratch / "log.txt", time.monotonic()
    subjects = _subjects(args, scratch)
    # No thread draws the bar: a fork would copy the locks that it happens to hold.
    with Progress(auto_refresh=False, console=Console(stderr=True)) as progress:
        task = progress.add_task("references", total=args.kills)
        seconds = {}
        for subject in subjects:
            seconds[subject.kind] = subject.play_reference(log)
            progress.refresh()

        def killed(kind: str) -> None:
            progress.update(task, advance=1, description=f"kills: {kind}", refresh=True)

        runs = _kill(args, subjects, seconds, log, killed)
    result = {
        "command": args.command,
        "seed": args.seed,
        "kills": sum(one["kills"] for one in runs),
        "different": sum(bool(one["differs"]) for one in runs),
        "seconds": round(time.monotonic() - started, 1),
        "versions": {name: version(name) for name in ("olrl", "torch", "numpy")},
        "reference_seconds": {kind: round(value, 2) for kind, value in seconds.items()},
        "runs": runs,
    }
    text = json.dumps(result, indent=1) + "\n"
    if args.out is not None:
        args.out.write_text(text, encoding="utf-8")
    told = {name: result[name] for name in ("command", "kills", "different", "seconds")}
    print(json.dumps({**told, "runs": len(runs)}))
    if result["different"]:
        print(f"what differs is kept in {scratch}", file=sys.stderr)
    return int(result["different"] > 0)


def _kill(
    args: argparse.Namespace, subjects: list[Subject], seconds: dict[str, float], log: Path, killed: Any
) -> list[dict[str, Any]]:
    rng, runs, left = random.Random(args.seed), list[dict[str, Any]](), args.kills
    for number, subject in enumerate(cycle(subjects)):
        if left <= 0:
            return runs
        runs.append(
            subject.killed(
                f"killed-{number}",
                kills=min(left, args.per_run),
                longest_s=args.longest or seconds[subject.kind],
                rng=rng,
                log=log,
                told=killed,
            )
        )
        left -= runs[-1]["kills"]
        if args.out is not None:
            args.out.with_suffix(".partial").write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")
    raise AssertionError("a cycle has no end")


def _subjects(args: argparse.Namespace, scratch: Path) -> list[Subject]:
    if args.command == "train":
        return [TrainSubject(scratch=scratch)]
    return [
        RunSubject(kind, rounds=args.rounds, seed=args.seed, scratch=scratch, settings=args.settings.split())
        for kind in args.kinds or KINDS
    ]


def _arguments() -> argparse.Namespace:
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=("run", "train"))
    parser.add_argument("--kills", type=int, default=100, help="kills in all (default 100)")
    parser.add_argument("--per-run", type=int, default=8, help="kills of one run at most (default 8)")
    parser.add_argument("--rounds", type=int, default=40, help="rounds of a run (default 40)")
    parser.add_argument("--longest", type=float, help="seconds before a kill at most; default: a whole run")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, help="streams of a run; default: all")
    parser.add_argument(
        "--settings", default="--model pico", help="options of olrl run (default --model pico)"
    )
    parser.add_argument("--seed", type=int, default=0, help="decides the moments (default 0)")
    parser.add_argument("--scratch", type=Path, help="an empty folder for the runs; default: a temporary one")
    parser.add_argument("--out", type=Path, help="a file for the result, JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
