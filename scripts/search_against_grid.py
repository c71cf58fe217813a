"""How soon a search comes within 1 % of the best of an exhaustive grid, on validation streams.

    python scripts/search_against_grid.py --model femto --rounds 20                    Optuna
    python scripts/search_against_grid.py --model femto --rounds 20 --engines ray      Ray Tune, on all cores

The grid is rates × batch sizes × windows × weight decays around the model's base. A search gets the same box,
without its steps, and a third of the grid's trials. Told are the grid's best, each search's best, and how many
trials it took until it was within 1 %. Every trial is kept in --out, so that what was stopped goes on where it was.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from olrl.agents.evaluation.jobs import Job, StreamRef, task_of
from olrl.agents.evaluation.suites import Wanted, streams_of
from olrl.agents.rivals.constants import constants_around
from olrl.agents.search.asked import Asked
from olrl.agents.search.config import SearchConfig
from olrl.agents.search.optuna_engine import search_with_optuna
from olrl.agents.search.trial import Trial, TrialLog, best_trial, play_trial
from olrl.control.decision import Base
from olrl.models.load import LoadedModel, load_model

ROOT = Path(__file__).parent.parent
REACH = 8.0
FACTORS = tuple(2.0**k for k in range(-3, 4))
BATCHES, WINDOWS, DECAYS = (1, 2, 8), (1, 4, 0), (0.0, 0.1)
WITHIN = 1.01
TOLD = (
    "  {engine} {sampler} {seed}: best {found:.4f} ({percent:+.2f} %) in {trials} trials, "
    "within 1 % after {within_after}, {cost:.0%} of the grid's compute"
)


def main() -> None:
    """Play the grid, search, and tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="femto")
    parser.add_argument("--rounds", type=int, default=16, help="rounds a stream (default 16)")
    parser.add_argument("--streams", type=int, default=1, help="validation streams (default 1)")
    parser.add_argument(
        "--skip", type=int, default=0, help="streams passed over, as those chosen by (default 0)"
    )
    parser.add_argument("--seeds", type=int, default=1, help="searches of each stream (default 1)")
    parser.add_argument("--engines", default="optuna", help="optuna, ray or both, with a comma between")
    parser.add_argument("--samplers", default="gp,tpe", help="see olrl search (default gp,tpe)")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "search-against-grid")
    args = parser.parse_args()
    model = load_model(args.model)
    if model.base is None:
        sys.exit(f"search_against_grid: model {args.model!r} ships no base: choose nano, pico or femto")
    wanted = Wanted(
        streams=args.skip + args.streams,
        rounds=args.rounds,
        bytes_per_round=model.bytes_per_round(chunk=16),
        split="validation",
    )
    rows = []
    for stream in streams_of("drift", wanted)[args.skip :]:
        rows += list(_stream(stream, model, model.base, args))
    (args.out / "results.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _stream(
    stream: StreamRef, model: LoadedModel, base: Base, args: argparse.Namespace
) -> Iterator[dict[str, object]]:
    folder = args.out / f"{args.model}-{args.rounds}-{stream.name}"
    folder.mkdir(parents=True, exist_ok=True)
    job = Job(
        entrant="base", stream=stream, model=args.model, base=base, fixed=None, base_lr_mult=1.0,
        policy="default", seed=0, rounds=args.rounds, seq_len=model.seq_len,
    )  # fmt: skip
    grid = _grid(job, base, TrialLog(folder / "grid.jsonl"))
    best = best_trial(grid)
    print(
        f"{stream.name} ({stream.kind}): grid of {len(grid)}, best {best.loss_bpb:.4f} {dict(best.settings)}"
    )
    ways = product(args.engines.split(","), args.samplers.split(","), range(args.seeds))
    for engine, sampler, seed in ways:
        config = SearchConfig(
            stream=stream.name,
            model=args.model,
            rounds=args.rounds,
            trials=(len(grid) - 1) // 3,
            engine=engine,
            sampler=sampler,
            reach=REACH,
            seed=seed,
        )
        place = folder / f"{engine}-{sampler}-{seed}"
        place.mkdir(exist_ok=True)
        trials = _search(config, job, base, place)
        row = {**_row(stream, grid, trials), "engine": engine, "sampler": sampler, "seed": seed}
        print(TOLD.format(**row), flush=True)
        yield row


def _grid(job: Job, base: Base, log: TrialLog) -> Sequence[Trial]:
    task = task_of(job, judged=False)
    points = list(product(FACTORS, BATCHES, WINDOWS, DECAYS))
    for number, (factor, batch, window, decay) in enumerate(points):
        if number < len(log.trials):
            continue
        at = replace(base, lr=base.lr * factor, batch_size=batch, window=window, weight_decay=decay)
        log.add(play_trial(task, at, number=number, places={}))
        if (number + 1) % 20 == 0:
            print(f"  grid: {number + 1} of {len(points)}", flush=True)
    return log.trials


def _search(config: SearchConfig, job: Job, base: Base, folder: Path) -> Sequence[Trial]:
    asked = Asked(
        config=config,
        job=job,
        space=constants_around(base, reach=config.reach),
        base=base,
        folder=folder,
        log=TrialLog(folder / "trials.jsonl"),
        told=lambda trial: None,
    )
    if config.engine == "ray":
        from olrl.agents.search.ray_engine import search_with_ray

        search_with_ray(asked)
    else:
        search_with_optuna(asked)
    return asked.log.trials


def _row(stream: StreamRef, grid: Sequence[Trial], trials: Sequence[Trial]) -> dict[str, Any]:
    mark = best_trial(grid).loss_bpb
    found = best_trial(trials).loss_bpb
    near = [t.number + 1 for t in trials if t.state != "pruned" and t.loss_bpb <= WITHIN * mark]
    return {
        "stream": stream.name,
        "grid": len(grid),
        "grid_best": mark,
        "found": found,
        "percent": 100 * (found / mark - 1),
        "trials": len(trials),
        "within_after": min(near, default=None),
        "cost": sum(trial.cost for trial in trials) / sum(trial.cost for trial in grid),
    }


if __name__ == "__main__":
    main()
