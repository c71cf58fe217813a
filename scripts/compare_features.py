"""Policies on selected features beside policies on those made by hand, by validation score.

    python scripts/compare_features.py --model femto --seeds 3 --out runs/features

The hindsight stage alone, from the same training streams, with the same settings and seeds. Features are
selected from the runs that the first policy on hand-made features was trained on, half as many at most; validation
streams are seen by no choice. Every score is kept in --out, so that what was stopped goes on; `--only hand-1` makes
one of them, for several at once. Everything runs in this process.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from olrl.agents.bars import Bars
from olrl.agents.features.command import select_and_tell
from olrl.agents.features.select import SelectConfig
from olrl.agents.features.spec_file import read_feature_set
from olrl.agents.ppo.command import train_and_tell
from olrl.agents.ppo.recipe import PROFILES, Recipe, ValidationConfig
from olrl.agents.ppo.validation import validate
from olrl.agents.workers.here import Here
from olrl.control.policy import load_policy
from olrl.monitor.feature_set import HAND_MADE

SETS = ("hand", "selected")
PROFILE = "features-trial"


def main() -> None:
    """Train, select, train, judge, tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="femto", help="femto, pico or nano (default femto)")
    parser.add_argument("--streams", type=int, default=12, help="training streams (default 12)")
    parser.add_argument("--rounds", type=int, default=80, help="rounds a stream (default 80)")
    parser.add_argument("--judged", type=int, default=5, help="validation streams (default 5)")
    parser.add_argument("--seeds", type=int, default=3, help="policies of each set (default 3)")
    parser.add_argument("--count", type=int, default=24, help="features to select (default 24)")
    parser.add_argument("--only", metavar="SET-SEED", help="this one alone")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    recipe = trial_recipe(args)
    PROFILES[PROFILE] = recipe
    judged = ValidationConfig(model=args.model, streams=args.judged, rounds=args.rounds)
    for name in [args.only] if args.only else [f"{one}-{seed}" for one in SETS for seed in range(args.seeds)]:
        found = args.out / f"{name}.json"
        if not found.exists():
            found.write_text(json.dumps(score(name, args, judged)) + "\n", encoding="utf-8")
        print(name, found.read_text(encoding="utf-8").strip(), flush=True)
    if not args.only:
        tell(args)


def trial_recipe(args: argparse.Namespace) -> Recipe:
    """The hindsight stage of profile `standard` on this model, all streams in one leg."""
    plain = PROFILES["standard"]
    stage = plain.stages[0]
    config = replace(stage.hindsight, streams=args.streams, rounds=args.rounds)
    stage = replace(stage, name="hindsight", legs=1, env={**stage.env, "model": args.model}, hindsight=config)
    hardly = ValidationConfig(model=args.model, streams=1, rounds=1, base_lr_mult=(1.0,))
    return replace(plain, name=PROFILE, stages=(stage,), validation=hardly)


def score(name: str, args: argparse.Namespace, judged: ValidationConfig) -> dict[str, Any]:
    """Train a policy and judge it: per cent of loss above the tuned constant, and losses by base."""
    chosen, seed = name.split("-")
    features = None
    with Bars(Console()) as bars:
        if chosen == "selected":
            features = args.out / "features.json"
            if not features.exists():
                select_and_tell(
                    [args.out / "run-hand-0"], SelectConfig(count=args.count), out=features, bars=bars
                )
        out = args.out / f"run-{name}"
        workers = Here()
        train_and_tell(
            PROFILE,
            seed=int(seed),
            out=out,
            resume=out.exists(),
            bars=bars,
            workers=workers,
            features=features,
        )
    found = validate(load_policy(out / "policy"), judged, scratch=out / "judged", workers=workers)
    return {"score": found.score, "bpb": found.policy_bpb, "fixed_bpb": found.fixed_bpb}


def tell(args: argparse.Namespace) -> None:
    """Mean and spread over seeds of each set."""
    sizes = {"hand": len(HAND_MADE), "selected": len(read_feature_set(args.out / "features.json"))}
    for one in SETS:
        files = [args.out / f"{one}-{seed}.json" for seed in range(args.seeds)]
        scores = [json.loads(file.read_text(encoding="utf-8"))["score"] for file in files]
        told = ", ".join(f"{value:+.2f}" for value in scores)
        print(f"{one}, {sizes[one]} features: mean {np.mean(scores):+.2f} % of seeds {told}")


if __name__ == "__main__":
    main()
