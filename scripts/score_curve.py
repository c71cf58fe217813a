#!/usr/bin/env python
"""Validation score of a controller against the minutes its training has taken, leg by leg.

    python scripts/score_curve.py --profile standard --seeds 3 --out runs/curve

Trains once for each seed, freezes the policy after every leg, and judges it on the profile's validation streams;
the minutes are those of training alone (with the making of environments, without any validation). Writes
curve.json and curve.png, and goes on with the seeds that are missing if it was stopped. Curves of other versions
go into the same figure with --beside LABEL=FILE.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console

from olrl.agents.bars import Bars
from olrl.agents.ppo.recipe import recipe as recipe_of
from olrl.agents.ppo.train import train
from olrl.agents.ppo.validation import validate
from olrl.control.policy import FrozenPolicy

# The run's own validation would be counted as training.
HARDLY: dict[str, Any] = {"streams": 1, "rounds": 1, "model": "pico", "every_leg": False}


def main() -> None:
    """Train, judge, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--profile", default="standard")
    parser.add_argument("--seeds", type=int, default=3, help="training runs (default 3)")
    parser.add_argument("--legs", type=int, default=6, help="points of the curve in each stage (default 6)")
    parser.add_argument("--stages", type=int, default=None, help="only the first so many stages")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--beside", action="append", default=[], metavar="LABEL=FILE")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    found = args.out / "curve.json"
    curves: dict[str, Any] = json.loads(found.read_text(encoding="utf-8")) if found.exists() else {}
    for seed in range(args.seeds):
        if str(seed) not in curves:
            curves[str(seed)] = curve(args, seed)
            found.write_text(json.dumps(curves, indent=1) + "\n", encoding="utf-8")
    beside = [pair.split("=", 1) for pair in args.beside]
    others = {label: json.loads(Path(file).read_text(encoding="utf-8")) for label, file in beside}
    draw({**others, "this version": curves}).savefig(args.out / "curve.png", dpi=120)


def curve(args: argparse.Namespace, seed: int) -> list[dict[str, Any]]:
    """Points of one training run: stage, minutes, score in per cent above the tuned constant, losses."""
    recipe = recipe_of(args.profile)
    stages = tuple(replace(stage, legs=args.legs) for stage in recipe.stages[: args.stages])
    points: list[dict[str, Any]] = []
    judging = 0.0
    started = time.perf_counter()

    def judge(stage: str, policy: FrozenPolicy) -> None:
        nonlocal judging
        paused = time.perf_counter()
        minutes = (paused - started - judging) / 60
        found = validate(policy, recipe.validation, scratch=args.out / f"seed-{seed}" / "validation")
        points.append({"stage": stage, "minutes": minutes, "score": found.score, "bpb": found.policy_bpb})
        print(f"seed {seed} {stage} {minutes:.2f} min: {found.line()}", flush=True)
        judging += time.perf_counter() - paused

    with Bars(Console()) as bars:
        train(
            replace(recipe, stages=stages, validation=replace(recipe.validation, **HARDLY)),
            seed=seed,
            out=args.out / f"seed-{seed}",
            resume=False,
            report=bars,
            after_leg=judge,
        )
    return points


def draw(curves: dict[str, dict[str, list[dict[str, Any]]]]) -> Figure:
    """Score against minutes, a line a seed, a colour a version."""
    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    axes = figure.subplots()
    for k, (label, seeds) in enumerate(curves.items()):
        for seed, points in seeds.items():
            minutes, scores = [p["minutes"] for p in points], [p["score"] for p in points]
            axes.plot(
                minutes,
                scores,
                "o-",
                color=f"C{k}",
                markersize=3,
                label=label if seed == min(seeds) else None,
            )
    axes.set_xlabel("minutes of training, without validation")
    axes.set_ylabel("loss above the tuned constant, %")
    axes.set_xscale("log")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


if __name__ == "__main__":
    main()
