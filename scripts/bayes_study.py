"""A posterior over the weights beside AdamW, fixed and controlled, at equal cost, with its calibration.

    python scripts/bayes_study.py --out runs/bayes    as docs/bayes.md has it; what was measured is kept there

Rates of all three optimizers are tried on training streams with the same number of trials, AdamW's around the one
that ships; then they are compared on validation streams.
"""

import argparse
import json
from collections.abc import Iterable
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from olrl.agents.evaluation.bootstrap import crossed_bootstrap
from olrl.agents.evaluation.calibration import Recorded
from olrl.agents.evaluation.jobs import TRAINING_SEED, Job, StreamRef, task_of
from olrl.agents.evaluation.play import play
from olrl.agents.evaluation.statistics import iqm
from olrl.agents.evaluation.suites import Wanted, streams_of
from olrl.agents.rivals.registry import ENTRANTS
from olrl.agents.workers.local import worker_pool
from olrl.learners.averaged_predictions import AveragedPredictions
from olrl.learners.causal_lm import CausalLMLearner
from olrl.learners.cost import CostModel
from olrl.models.load import load_model

FACTORS = {"base": (0.5, 1.0, 2.0), "vadam": (0.5, 1.0, 2.0), "von": (0.25, 1.0, 4.0)}
DRAWS = 4
MEASURED = ("loss_bpb", "calibration_error", "overconfidence", "cost")
# Averaging over four draws costs three passes over 16 new examples and 4 probes more: so much may AdamW spend, too.
DEARER = CostModel(budget=CostModel().budget + (DRAWS - 1) * (16 + 4))


@dataclass(frozen=True, kw_only=True)
class Row:
    """One entrant on one stream."""

    told: str
    stream: str
    loss_bpb: float
    calibration_error: float
    overconfidence: float
    cost: float


def main() -> None:
    """Try rates, compare, write and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="pico")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--training-streams", type=int, default=2)
    parser.add_argument("--streams", type=int, default=4, help="validation streams")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with worker_pool(args.processes) as pool:
        tried = _streams(args, "train", args.training_streams, seed=TRAINING_SEED)
        jobs = [
            (f"{name} ×{factor:g}", _job(args, name, stream, lr_factor=factor), False)
            for name, factors in FACTORS.items()
            for factor in factors
            for stream in tried
        ]
        trials = _means(_all(pool, jobs, args.out / "trials.jsonl"))
        best = {
            name: min(factors, key=lambda factor, name=name: trials[f"{name} ×{factor:g}"]["loss_bpb"])  # type: ignore[misc] # mypy sees no default
            for name, factors in FACTORS.items()
        }
        print(json.dumps({"best": best}), flush=True)
        judged = _streams(args, "validation", args.streams, seed=0)
        by_stream = [_entrants(args, stream, best) for stream in judged]
        compared = [made for entrant in zip(*by_stream, strict=True) for made in entrant]
        rows = _all(pool, compared, args.out / "validation.jsonl")
    found = _means(rows)
    against = _against(rows, "AdamW")
    (args.out / "results.json").write_text(
        json.dumps({"best": best, "trials": trials, "found": found, "against AdamW, %": against}, indent=1)
    )
    for told, row in found.items():
        print(f"{told:30} " + "  ".join(f"{name} {row[name]:.4f}" for name in MEASURED), end="")
        print("  against AdamW {:+.2f} % [{:+.2f}, {:+.2f}]".format(*against[told]))


def _entrants(
    args: argparse.Namespace, stream: StreamRef, best: dict[str, float]
) -> list[tuple[str, Job, bool]]:
    adamw, vadam, von = best["base"], best["vadam"], best["von"]
    return [
        ("AdamW", _job(args, "base", stream, lr_factor=adamw), True),
        ("Vadam", _job(args, "vadam", stream, lr_factor=vadam), True),
        ("AdamW, policy", _job(args, "default", stream, lr_factor=adamw), True),
        ("Vadam, policy", _job(args, "vadam-policy", stream, lr_factor=vadam), True),
        ("Vadam, four draws", _job(args, "vadam", stream, lr_factor=vadam, draws=DRAWS), True),
        ("AdamW, budget as four draws", _job(args, "base", stream, lr_factor=adamw, cost=DEARER), True),
        ("VON", _job(args, "von", stream, lr_factor=von), True),
        ("VON, four draws", _job(args, "von", stream, lr_factor=von, draws=DRAWS), True),
    ]


def _job(
    args: argparse.Namespace,
    entrant: str,
    stream: StreamRef,
    *,
    lr_factor: float,
    cost: CostModel | None = None,
    draws: int = 0,
) -> Job:
    """The tuned constant as base; its rate times the factor, by the entrant's own setting where it has one."""
    loaded = load_model(args.model)
    assert loaded.fixed is not None, "only a model with a tuned constant can be compared with it"
    posterior = entrant in ("von", "vadam", "vadam-policy")
    own = {"lr_factor": lr_factor, "draws": draws} if posterior else {}
    return Job(
        entrant=entrant,
        stream=stream,
        model=args.model,
        base=loaded.fixed if posterior else replace(loaded.fixed, lr=loaded.fixed.lr * lr_factor),
        fixed=loaded.fixed,
        base_lr_mult=1.0,
        policy="default",
        seed=0,
        rounds=args.rounds,
        seq_len=loaded.seq_len,
        cost=cost or CostModel(),
        settings=tuple(sorted(own.items())),
    )


def _streams(args: argparse.Namespace, split: Any, count: int, *, seed: int) -> list[StreamRef]:
    n_bytes = load_model(args.model).bytes_per_round(chunk=16)
    wanted = Wanted(streams=count, rounds=args.rounds, bytes_per_round=n_bytes, split=split, seed=seed)
    return streams_of("drift", wanted)


def _all(pool: Any, jobs: Iterable[tuple[str, Job, bool]], kept: Path) -> list[Row]:
    """All runs, those first that an earlier call has kept in the file."""
    rows = [Row(**json.loads(line)) for line in kept.read_text().splitlines()] if kept.exists() else []
    there = {(row.told, row.stream) for row in rows}
    futures = [
        pool.submit(measure, told, job, calibrated=calibrated)
        for told, job, calibrated in jobs
        if (told, job.stream.name) not in there
    ]
    with kept.open("a", encoding="utf-8") as file:
        for future in as_completed(futures):
            rows.append(future.result())
            print(json.dumps(asdict(rows[-1])), file=file, flush=True)
    return rows


def measure(told: str, job: Job, *, calibrated: bool) -> Row:
    """Make one run; with `calibrated` its predictions are counted too, which takes another pass over each chunk."""
    torch.set_num_threads(1)
    task, entrant = task_of(job, judged=False), ENTRANTS[job.entrant]
    controller, learner = entrant.controller(task.given), entrant.learner(task)
    assert isinstance(learner, CausalLMLearner | AveragedPredictions)
    recorded = Recorded(learner, chunk=job.chunk) if calibrated else learner
    trace = play(controller, task.chunks, recorded, base=controller.base, config=task.given.config)
    counted = recorded.calibration if isinstance(recorded, Recorded) else None
    return Row(
        told=told,
        stream=job.stream.name,
        loss_bpb=trace.mean_loss_bpb,
        calibration_error=counted.error if counted else 0.0,
        overconfidence=counted.overconfidence if counted else 0.0,
        cost=trace.total_cost / len(trace.spent),
    )


def _means(rows: list[Row]) -> dict[str, dict[str, float]]:
    """By entrant, the means over streams of all that was measured; losses by stream too."""
    found: dict[str, dict[str, float]] = {}
    for told in dict.fromkeys(row.told for row in rows):
        own = sorted((row for row in rows if row.told == told), key=lambda row: row.stream)
        found[told] = {name: float(np.mean([getattr(row, name) for row in own])) for name in MEASURED} | {
            row.stream: row.loss_bpb for row in own
        }
    return found


def _against(rows: list[Row], reference: str) -> dict[str, list[float]]:
    """By entrant, its loss against the reference's: interquartile mean over streams, and the 95 % interval."""
    loss = {(row.told, row.stream): row.loss_bpb for row in rows}
    streams = sorted({row.stream for row in rows})
    found = {}
    for told in dict.fromkeys(row.told for row in rows):
        percent = [100 * (loss[told, name] / loss[reference, name] - 1) for name in streams]
        got = crossed_bootstrap(np.array([[percent]]), lambda drawn: iqm(drawn[0, ..., 0, :]))
        found[told] = [
            got.value,
            np.nan if got.low is None else got.low,
            np.nan if got.high is None else got.high,
        ]
    return found


if __name__ == "__main__":
    main()
