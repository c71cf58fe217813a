"""Tune a rival on training streams, or all of them one after the other.

    python scripts/tune.py fixed --model nano     the constant; writes olrl/models/nano/olrl.json too
    python scripts/tune.py plateau --model pico   one rival
    python scripts/tune.py all --model pico       every rival that has something to tune, the constant first

All rivals get the same streams, the same wrong bases and the same number of trials (what evolution searches gets
more), by Optuna's TPE; those that save training on streams with quiet stretches, at a price. Every trial is kept in
the record, agents/tuned/NAME.json (for `fixed`, fixed-MODEL.json). Runs are cached: what was stopped goes on where
it was, and more trials extend it.
"""

import argparse
import sys
import time
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

from olrl.agents.evaluation.suites import SUITES
from olrl.agents.evaluation.tuner import Trial, Tuner, TuningConfig, best, record, tune
from olrl.agents.rivals.registry import ENTRANTS, tunable
from olrl.agents.warm_processes import usable_cores
from olrl.agents.workers.local import worker_pool
from olrl.control.decision import Base
from olrl.models.load import load_model, write_settings

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Tune and write the records."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", choices=["all", *tunable()], metavar="NAME", help="a rival, or all")
    parser.add_argument("--model", default="pico", help="the model that learns (default pico)")
    parser.add_argument("--trials", type=int, help="trials a rival (default 64; evolved 400)")
    parser.add_argument("--streams", type=int, default=4, help="training streams (default 4)")
    parser.add_argument("--rounds", type=int, default=100, help="rounds a stream (default 100)")
    parser.add_argument("--processes", type=int, default=usable_cores())
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "tuning")
    parser.add_argument("--out", type=Path, help="folder for the records; then nothing that ships is changed")
    args = parser.parse_args()
    names = tunable() if args.name == "all" else [args.name]
    try:
        with worker_pool(args.processes) as pool:
            for number, name in enumerate(names, start=1):
                tune_one(name, args, pool, at=f"{number}/{len(names)}")
    except ValueError as error:
        sys.exit(f"tune: {error}")


def tune_one(name: str, args: argparse.Namespace, pool: Executor, *, at: str) -> None:
    """Tune one rival and write its record; `at` tells how far the whole is."""
    suite = ENTRANTS[name].suite
    config = TuningConfig(
        model=args.model,
        streams=args.streams,
        rounds=args.rounds,
        suite=suite,
        price=SUITES[suite].price,
        base_lr_mult=SUITES[suite].base_lr_mult,
    )
    if not ENTRANTS[name].uses_base:
        config = replace(config, base_lr_mult=(1.0,))
    count = args.trials or ENTRANTS[name].trials
    progress = _Progress(f"[{at}] {name}", count)
    tuner = Tuner(name, config, cache=args.cache, processes=args.processes, pool=pool)
    trials = tune(tuner, trials=count, told=progress.told)
    file = f"fixed-{Path(args.model).name}.json" if name == "fixed" else f"{name}.json"
    folder = args.out or ROOT / "agents" / "tuned"
    folder.mkdir(parents=True, exist_ok=True)
    record(trials, config, path=folder / file)
    if sys.stdout.isatty():
        print()
    print(f"{name}: {best(trials).loss_bpb:.4f} bits a byte with {dict(best(trials).settings)}", flush=True)
    if name == "fixed" and args.out is None:
        _ship_constant(args.model, best(trials))


def _ship_constant(model: str, found: Trial) -> None:
    """Make the best constant the model's own, and its base."""
    constant = Base(**found.settings)
    folder = ROOT / "olrl" / "models" / model
    write_settings(folder, seq_len=load_model(model).seq_len, base=constant, fixed=constant)


class _Progress:
    """One line that says how far the tuning of a rival is."""

    def __init__(self, name: str, total: int) -> None:
        self._name, self._total = name, total
        self._trials: list[Trial] = []
        self._started = time.monotonic()

    def told(self, trial: Trial) -> None:
        """Another trial is made."""
        self._trials.append(trial)
        done = len(self._trials)
        left = (time.monotonic() - self._started) / done * (self._total - done)
        line = (
            f"{self._name}: trial {done} of {self._total}, {trial.loss_bpb:.4f} bits a byte, "
            f"best {best(self._trials).loss_bpb:.4f}, about {left / 60:.1f} min left"
        )
        print(
            f"\r{line:<100}" if sys.stdout.isatty() else line,
            end="" if sys.stdout.isatty() else "\n",
            flush=True,
        )


if __name__ == "__main__":
    main()
