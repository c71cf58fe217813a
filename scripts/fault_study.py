"""What the guard does about faults, and that it leaves real drift alone: `docs/guard.json`.

    python scripts/fault_study.py                      both models, about ten minutes on one core
    python scripts/fault_study.py --models pico --numbers 0 --out guard.json

Real models on validation streams of the builtin drift suite, steered by a policy. Every disturbed run is paired
with an undisturbed one on the same chunks with the same draws, and is made with the guard and without it.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch
from faults.bench import Bench, Course, drift_rows, fault_row
from faults.fault import FAULTS

from olrl.control.policy import FrozenPolicy, load_policy

STREAMS = (0, 2, 9, 1, 5, 6)  # of the suite: abrupt, recurring, abrupt, without drift, abrupt, recurring


def study(
    models: Sequence[str],
    *,
    numbers: Sequence[int],
    unguarded: int,
    policy: FrozenPolicy,
    chosen: Sequence[str],
) -> dict[str, Any]:
    """All rows of all models; faults without a guard on the first `unguarded` of the streams only."""
    faults: list[dict[str, Any]] = []
    drift: list[dict[str, Any]] = []
    for model in models:
        bench = Bench(model, policy)
        for place, number in enumerate(numbers):
            chunks = bench.chunks(number)
            calm, free = (bench.play(chunks, fault=None, guarded=g, seed=number) for g in (True, False))
            drift += _told([{"model": model, **row} for row in drift_rows(chunks, number, calm, free)])
            for name, guarded in product(chosen, (True, False)):
                if guarded or place < unguarded:
                    row = fault_row(bench, chunks, number, name, calm if guarded else free, guarded=guarded)
                    faults += _told([{"model": model, **row}])
    return {"faults": faults, "drift": drift}


def _told(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for row in rows:
        print(json.dumps(row), file=sys.stderr, flush=True)
    return rows


def main() -> None:
    """Make the runs and write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["pico", "nano"])
    parser.add_argument("--policy", default="default")
    parser.add_argument(
        "--numbers", type=int, nargs="+", default=STREAMS, help="streams of the suite, for each model"
    )
    parser.add_argument("--unguarded", type=int, default=2, help="of these, with faults and no guard too")
    parser.add_argument("--faults", nargs="*", choices=FAULTS, default=list(FAULTS))
    parser.add_argument("--out", type=Path, default=Path("docs/guard.json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = study(
        args.models,
        numbers=args.numbers,
        unguarded=args.unguarded,
        policy=load_policy(args.policy),
        chosen=args.faults,
    )
    course = Course()
    found = {"rounds": course.rounds, "fault_at": course.start, **found}
    args.out.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(args.out)


if __name__ == "__main__":
    main()
