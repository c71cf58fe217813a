#!/usr/bin/env python
"""The same training by this machine's cores and through Ray, compared bit by bit.

    python scripts/train_engines.py --out engines
    python scripts/train_engines.py --out engines-cold --cold

Each engine trains in a process of its own, with a cache folder of its own in which there is nothing but the builtin
corpus: what references and hindsight runs come to is computed by whoever works. With `--cold` there is no compiled
function yet either. Policy, checkpoint, hindsight runs and curves are compared, and processes of Ray's that are
left are looked for. Exits 1 if anything differs or is left. `--profile small` has a stage of every kind.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from kills.compare import training_differences
from olrl.agents.hindsight.config import HindsightConfig
from olrl.agents.ppo import recipe
from olrl.agents.ppo.recipe import ValidationConfig
from olrl.agents.ppo.tiny import TINY
from olrl.cli import execute
from olrl.streams.corpus import cache_folder, load_corpus

ENGINES = ("local", "ray")
MARK = "OLRL_TRAIN_ENGINES"  # in the environment of all processes that a training starts
_SURROGATE, _HINDSIGHT, _LANGUAGE = TINY.stages
SMALL = replace(
    TINY,
    name="small",
    stages=(
        replace(_SURROGATE, steps=4_096, n_envs=64),
        replace(
            _HINDSIGHT,
            env={"model": "femto"},
            hindsight=HindsightConfig(streams=2, rounds=30, policy_lanes=3, steps=200),
        ),
        replace(_LANGUAGE, steps=480, n_envs=8, env={"model": "pico", "rounds": 20, "n_streams": 8}),
    ),
    validation=ValidationConfig(every_leg=True, model="pico", streams=2, rounds=15, base_lr_mult=(1.0, 8.0)),
)


def main() -> int:
    """Train with both, compare, tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="a folder that is not there yet")
    parser.add_argument("--profile", default="small", help="tiny, small, or one of olrl train's")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--cold", action="store_true", help="nothing is compiled yet")
    parser.add_argument(
        "--engine", choices=ENGINES, help=argparse.SUPPRESS
    )  # one training, in its own process
    args = parser.parse_args()
    if args.engine:
        return _train(args)
    args.out.mkdir(parents=True)
    load_corpus()
    seconds = {engine: _in_its_own_process(args, engine) for engine in ENGINES}
    here, ray = (args.out / engine for engine in ENGINES)
    differs = training_differences(here, ray) + _other_runs(here, ray)
    left = _left_behind(args.out)
    told = {"profile": args.profile, "seed": args.seed, "cold": args.cold, "seconds": seconds}
    print(json.dumps({**told, "differs": differs, "left": left}, indent=1))
    return 1 if differs or left else 0


def _train(args: argparse.Namespace) -> int:
    recipe.PROFILES.update(tiny=TINY, small=SMALL)
    out = args.out / args.engine
    given = ["--profile", args.profile, "--engine", args.engine, "--seed", str(args.seed), "--out", str(out)]
    return execute(["train", *given])


def _in_its_own_process(args: argparse.Namespace, engine: str) -> float:
    """Train with empty caches; how long it took, seconds."""
    cache = args.out / f"{engine}-cache"
    cache.mkdir()
    for corpus in cache_folder().glob("corpus-*"):
        (cache / corpus.name).symlink_to(corpus)
    own = {**os.environ, "OLRL_CACHE": str(cache.resolve()), MARK: str(args.out.resolve())}
    if args.cold:
        own["NUMBA_CACHE_DIR"] = str((args.out / f"{engine}-compiled").resolve())
    started = time.monotonic()
    subprocess.run([sys.executable, *sys.argv, "--engine", engine], env=own, check=True)
    return round(time.monotonic() - started, 1)


def _other_runs(one: Path, other: Path) -> list[str]:
    """Of the runs of hindsight stages, arrays that differ; files that only one has."""
    mine, theirs = ({str(p.relative_to(f)): p for p in f.glob("hindsight/**/*.npz")} for f in (one, other))
    found = sorted(mine.keys() ^ theirs.keys())
    for name in sorted(mine.keys() & theirs.keys()):
        with np.load(mine[name]) as some, np.load(theirs[name]) as others:
            if set(some.files) != set(others.files):
                found.append(name)
            found += [
                f"{name} {key}" for key in set(some.files) & set(others.files) if _differ(some, others, key)
            ]
    return found


def _differ(some: Any, others: Any, key: str) -> bool:
    return bool(some[key].tobytes() != others[key].tobytes())


def _left_behind(out: Path) -> list[str]:
    """Command lines of processes that a training started and that go on."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(out.resolve()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline())[:80])
        except psutil.Error:
            continue
    return found


if __name__ == "__main__":
    sys.exit(main())
