"""Tune the constant configuration of a model, or a rival, on training streams.

    python scripts/tune.py fixed --model nano          writes olrl/models/nano/olrl.json
    python scripts/tune.py hypergradient --model nano  writes agents/tuned/hypergradient.json

Every trial is kept in the record, agents/tuned/NAME.json (for `fixed`, fixed-MODEL.json). Trials are cached, so
that a run that was stopped goes on where it was.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from olrl.agents.evaluation.tuner import Trial, Tuner, TuningConfig, best, ladder_search
from olrl.agents.warm_processes import usable_cores
from olrl.control.decision import Base
from olrl.models.load import load_model, write_settings

ROOT = Path(__file__).parent.parent
FIXED_AXES: dict[str, list[Any]] = {
    "lr": [6e-5, 1.25e-4, 2.5e-4, 3.5e-4, 5e-4, 7e-4, 1e-3, 1.4e-3, 2e-3, 4e-3, 8e-3],
    "batch_size": [1, 2, 4, 8, 16, 32, 64],
    "window": [1, 2, 4, 8, 16, 32, 64, 0],
}
FIXED_START = Base(lr=5e-4, batch_size=2, window=1)
BETAS = [0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0]
RIVAL_BASES = (0.125, 1.0, 8.0)


def main() -> None:
    """Tune and write the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", choices=["fixed", "hypergradient", "drift-reset"])
    parser.add_argument("--model", default="nano")
    parser.add_argument("--trials", type=int, default=24, help="trials of drift-reset (default 24)")
    parser.add_argument("--streams", type=int, default=None, help="training streams (default 6, rivals 4)")
    parser.add_argument("--processes", type=int, default=usable_cores())
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "tuning")
    args = parser.parse_args()
    if args.name == "fixed":
        tune_fixed(args)
    else:
        tune_rival(args)


def tune_fixed(args: argparse.Namespace) -> None:
    """Ladder search over rate, batch size and window; the best becomes the model's base too."""
    config = TuningConfig(model=args.model, streams=args.streams or 6)
    start = FIXED_START
    tuner = Tuner("base", config, base=start, cache=args.cache, processes=args.processes)
    settings = {"lr": start.lr, "batch_size": start.batch_size, "window": start.window}
    trials = ladder_search(lambda many: announced(tuner.trials(many)), settings, FIXED_AXES)
    found = Base(**best(trials).settings)
    seq_len = load_model(args.model).seq_len
    write_settings(ROOT / "olrl" / "models" / args.model, seq_len=seq_len, base=found, fixed=found)
    record(f"fixed-{args.model}", config, trials)


def tune_rival(args: argparse.Namespace) -> None:
    """One parameter by ladder search, several by random search after the settings the rival has by default."""
    loaded = load_model(args.model)
    if loaded.base is None:
        raise SystemExit(f"tune 'fixed' for {args.model} first: it has no base yet")
    config = TuningConfig(model=args.model, streams=args.streams or 4, base_lr_mult=RIVAL_BASES)
    tuner = Tuner(args.name, config, base=loaded.base, cache=args.cache, processes=args.processes)
    if args.name == "hypergradient":
        trials = ladder_search(lambda many: announced(tuner.trials(many)), {"beta": 1.0}, {"beta": BETAS})
    else:
        rng = np.random.default_rng(0)
        candidates = [{}, *(drift_reset_space(rng) for _ in range(args.trials - 1))]
        trials = [announced(tuner.trials([candidate]))[0] for candidate in candidates]
    record(args.name, config, trials)


def drift_reset_space(rng: np.random.Generator) -> dict[str, Any]:
    """Everything that `DriftResetSettings` has, but the gap."""
    return {
        "lr_up": float(2 ** rng.uniform(0, 2.5)),
        "lr_rest": float(2 ** rng.uniform(-1.5, 0.5)),
        "half_life": float(2 ** rng.uniform(1, 5)),
        "cut_window": int(rng.choice([1, 2, 4])),
        "grow_every": int(rng.choice([1, 2, 4, 8])),
    }


def announced(trials: list[Trial]) -> list[Trial]:
    """Print trials as they are made."""
    for trial in trials:
        print(f"{trial.loss_bpb:.4f} bits a byte  {trial.settings}", flush=True)
    return trials


def record(name: str, config: TuningConfig, trials: list[Trial]) -> None:
    """Write the tuning record with every trial."""
    found = best(trials)
    content = {
        "settings": found.settings,
        "loss_bpb": found.loss_bpb,
        "tuning_examples": sum(trial.examples for trial in trials),
        "tuned_on": asdict(config),
        "trials": [asdict(trial) for trial in trials],
    }
    path = ROOT / "agents" / "tuned" / f"{name}.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(
        f"{name}: {found.loss_bpb:.4f} bits a byte with {found.settings}; {len(trials)} trials in {path.name}"
    )


if __name__ == "__main__":
    main()
