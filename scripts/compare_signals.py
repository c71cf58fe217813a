"""How much the surrogate resembles a real language model: signals of both under constant rates, side by side.

    python scripts/compare_signals.py              prints the table
    python scripts/compare_signals.py --rounds 60 --streams 2 --models pico

Each run holds a sensible configuration with its rate multiplied by 1/8, 1 or 8 and is summed up in one number
per quantity. Real runs are on training streams of the drift suite. For each quantity and multiplier the table
shows the median over real runs, the surrogate's 20, 50 and 80 % quantiles, and marks medians outside them.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from olrl.assembly import LoopConfig, assemble_loop, cut_chunks
from olrl.control.decision import Base
from olrl.envs.drifting_quadratic import QuadraticEpisode
from olrl.envs.quadratic_problem import QuadraticRandomisation, draw_problem
from olrl.learners.causal_lm import CausalLMLearner
from olrl.loop import OnlineLoop
from olrl.models.load import LoadedModel, load_model
from olrl.monitor.signals import Signals
from olrl.streams.corpus import load_corpus
from olrl.streams.drift import drift_stream
from olrl.streams.suite import SuiteConfig

MULTIPLIERS = (0.125, 1.0, 8.0)
SETTLING = 5  # rounds at the start that are left out
Figures = dict[str, float]
Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Run:
    """Signals and true segments of a run, round by round."""

    signals: list[Signals]
    segments: list[int]

    def of(self, name: str) -> Array:
        """A signal over the rounds, NaN where it is missing."""
        values = [getattr(signals, name) for signals in self.signals[SETTLING:]]
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def main() -> None:
    """Make the runs and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["pico", "nano"])
    parser.add_argument("--streams", type=int, default=4, help="training streams of each model")
    parser.add_argument("--tasks", type=int, default=100, help="surrogate tasks")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    real = {
        model: real_figures(load_model(model), args.streams, args.rounds, args.seed) for model in args.models
    }
    print_table(real, surrogate_figures(args.tasks, args.rounds, args.seed))


def real_figures(model: LoadedModel, streams: int, rounds: int, seed: int) -> list[list[Figures]]:
    """Figures of each stream, for each multiplier."""
    if model.fixed is None:
        raise SystemExit("the model ships no tuned configuration: run scripts/tune.py fixed first")
    fixed = model.fixed
    suite = SuiteConfig.for_rounds(
        rounds, bytes_per_round=model.bytes_per_round(chunk=16), split="train", seed=seed
    )
    config = LoopConfig(seq_len=model.seq_len, seed=seed)
    learner = CausalLMLearner(model.model)
    initial = {"values": learner.state_dict()["values"]}
    figures: list[list[Figures]] = [[] for _ in MULTIPLIERS]
    for k in range(streams):
        documents = drift_stream(suite.stream(k, load_corpus()), load_corpus())
        chunks = list(islice(cut_chunks(documents, model.tokenizer, config), rounds))
        for mine, base in zip(figures, _multiplied(fixed), strict=True):
            learner.load_state_dict(initial)
            mine.append(
                figures_of(hold(assemble_loop(iter(chunks), learner, base=base, config=config), base))
            )
        print(f"stream {k + 1} of {streams}", file=sys.stderr)
    return figures


def surrogate_figures(tasks: int, rounds: int, seed: int) -> list[list[Figures]]:
    """Figures of each task, for each multiplier of the reference's rate."""
    ranges = QuadraticRandomisation(masked=0.0, adamw=1.0)
    figures: list[list[Figures]] = [[] for _ in MULTIPLIERS]
    for task in range(tasks):
        problem = draw_problem(seed * 100_000 + task, ranges, rounds=rounds)
        for mine, base in zip(figures, _multiplied(problem.reference), strict=True):
            mine.append(figures_of(hold(QuadraticEpisode(replace(problem, base=base)).loop, base)))
    return figures


def _multiplied(base: Base) -> Iterator[Base]:
    return (replace(base, lr=base.lr * multiplier) for multiplier in MULTIPLIERS)


def hold(loop: OnlineLoop, base: Base) -> Run:
    """Play a loop to its end, or until it diverges, under a constant decision."""
    signals, segments = [], []
    while (seen := loop.observe()) is not None and seen.loss_nats is not None:
        signals.append(seen)
        segments.append(loop.apply(base.decision()).segment)
    return Run(signals=signals, segments=segments)


def figures_of(run: Run) -> Figures:
    """What a run is like, in a number per quantity; medians and means over its rounds."""
    loss = run.of("loss_nats")
    segments = np.array(run.segments[SETTLING:])
    y = np.log(loss)
    within = y - _means(y, segments)
    train, gap = np.log(run.of("train_loss_nats") / loss), run.of("old_new_gap") / loss
    return {
        "log loss, spread within segments": float(within.std()),
        "log loss, its autocorrelation at 1": _correlation(within[1:], within[:-1]),
        "log loss, spread of its one-round change": float(np.diff(y).std()),
        "log loss, spread of segment means": float(_means(y, segments).std()),
        "log(loss_std / loss), median": float(np.nanmedian(np.log(run.of("loss_std") / loss))),
        "log(loss_std / loss), spread": float(np.nanstd(np.log(run.of("loss_std") / loss))),
        "grad_cos, mean": float(np.nanmean(run.of("grad_cos"))),
        "grad_cos, spread": float(np.nanstd(run.of("grad_cos"))),
        "asinh(100 grad_snr), mean": float(np.nanmean(np.arcsinh(100 * run.of("grad_snr")))),
        "asinh(100 grad_snr), spread": float(np.nanstd(np.arcsinh(100 * run.of("grad_snr")))),
        "log grad_norm, spread": float(np.nanstd(np.log(run.of("grad_norm")))),
        "log update_ratio, median": float(np.nanmedian(np.log(run.of("update_ratio")))),
        "log update_ratio, spread": float(np.nanstd(np.log(run.of("update_ratio")))),
        "log(train_loss / loss), mean": float(np.nanmean(train)),
        "log(train_loss / loss), spread": float(np.nanstd(train)),
        "old_new_gap / loss, mean": float(np.nanmean(gap)),
        "old_new_gap / loss, spread": float(np.nanstd(gap)),
    }


def _means(values: Array, segments: NDArray[np.int64]) -> Array:
    """Mean over the segment that each round belongs to."""
    _, member = np.unique(segments, return_inverse=True)
    means: Array = (np.bincount(member, values) / np.bincount(member))[member]
    return means


def _correlation(a: Array, b: Array) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def print_table(real: dict[str, list[list[Figures]]], surrogate: Sequence[list[Figures]]) -> None:
    """Medians of real runs beside quantiles of the surrogate; `<` and `>`: outside the middle 60 %."""
    names = list(surrogate[0][0])
    print(f"| quantity | rate | {' | '.join(real)} | surrogate 20 % | 50 % | 80 % |")
    print("|---|---|" + "---|" * (len(real) + 3))
    outside = 0
    for name in names:
        for k, multiplier in enumerate(MULTIPLIERS):
            low, middle, high = np.nanquantile([run[name] for run in surrogate[k]], (0.2, 0.5, 0.8))
            medians = [float(np.nanmedian([run[name] for run in runs[k]])) for runs in real.values()]
            marks = [" <" if m < low else " >" if m > high else "" for m in medians]
            outside += sum(map(bool, marks))
            cells = [f"{m:.3f}{mark}" for m, mark in zip(medians, marks, strict=True)]
            cells += [f"{value:.3f}" for value in (low, middle, high)]
            print(f"| {name} | x{multiplier:g} | {' | '.join(cells)} |")
    print(f"\n{outside} of {len(names) * len(MULTIPLIERS) * len(real)} real medians outside.")


if __name__ == "__main__":
    main()
