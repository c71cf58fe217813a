"""One way to tune every rival: the same streams, the same number of trials, everything recorded."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from olrl.control.decision import Base
from olrl.models.load import load_model
from olrl.streams.corpus import load_corpus
from olrl.streams.suite import SuiteConfig

from .fingerprint import fingerprint, model_place
from .jobs import Job, StreamRef, run_jobs

Settings = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class TuningConfig:
    """On what a rival is tuned: training streams of the drift suite, from bases right and wrong."""

    model: str
    streams: int = 6
    rounds: int = 150
    base_lr_mult: tuple[float, ...] = (1.0,)
    seed: int = 7  # the tuning seed is never reported on


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Settings and their mean prequential loss over all streams and bases, bits a byte."""

    settings: Settings
    loss_bpb: float
    examples: int


class Tuner:
    """Makes trials of one entrant; each is cached, so that a tuning run can be resumed and extended."""

    def __init__(
        self, entrant: str, config: TuningConfig, *, base: Base, cache: Path, processes: int
    ) -> None:
        self.entrant = entrant
        self.config = config
        self.base = base
        self.cache = cache
        self.processes = processes
        loaded = load_model(config.model)
        self._seq_len = loaded.seq_len
        self._fingerprint = fingerprint([model_place(config.model) / "model.safetensors"], builtin=True)
        suite = SuiteConfig.for_rounds(
            config.rounds, bytes_per_round=loaded.bytes_per_round(chunk=16), split="train", seed=config.seed
        )
        corpus = load_corpus()
        drifts = [suite.stream(k, corpus) for k in range(config.streams)]
        self._streams = [
            StreamRef(name=f"drift-train-{k}", kind=drift.kind, drift=drift) for k, drift in enumerate(drifts)
        ]

    def trial(self, settings: Settings) -> Trial:
        """Try settings of the controller; those named lr, batch_size and window change the base itself."""
        return self.trials([settings])[0]

    def trials(self, many: Sequence[Settings]) -> list[Trial]:
        """Try several, in parallel over all their runs."""
        jobs = [self._jobs(settings) for settings in many]
        flat = [job for group in jobs for job in group]
        traces = {job.key: trace for job, trace in run_jobs(flat, cache=self.cache, processes=self.processes)}
        return [
            Trial(
                settings=settings,
                loss_bpb=float(np.mean([traces[job.key].mean_loss_bpb for job in group])),
                examples=sum(
                    u * b
                    for job in group
                    for u, b in zip(traces[job.key].updates, traces[job.key].batch_size, strict=True)
                ),
            )
            for settings, group in zip(many, jobs, strict=True)
        ]

    def _jobs(self, settings: Settings) -> list[Job]:
        of_base = {name: value for name, value in settings.items() if name in ("lr", "batch_size", "window")}
        rest = {name: value for name, value in settings.items() if name not in of_base}
        base = replace(self.base, **of_base)
        return [
            Job(
                entrant=self.entrant,
                stream=stream,
                model=self.config.model,
                base=replace(base, lr=base.lr * mult),
                fixed=None,
                base_lr_mult=mult,
                policy="default",
                seed=self.config.seed,
                rounds=self.config.rounds,
                seq_len=self._seq_len,
                settings=tuple(sorted(rest.items())),
                fingerprint=self._fingerprint,
            )
            for stream in self._streams
            for mult in self.config.base_lr_mult
        ]


def best(trials: Sequence[Trial]) -> Trial:
    """The trial of least loss, the earliest among equals."""
    return min(trials, key=lambda trial: trial.loss_bpb)


def ladder_search(
    evaluate: Callable[[Sequence[Settings]], list[Trial]], start: Settings, axes: Mapping[str, Sequence[Any]]
) -> list[Trial]:
    """Trials of the best point's neighbours on each axis in turn, until a whole turn brings nothing.

    `start` lies on the axes; on ladders as coarse as factors of two, losses have one valley.
    """
    trials = evaluate([start])
    while True:
        before = best(trials).loss_bpb
        for name, ladder in axes.items():
            _climb(trials, evaluate, name, ladder)
        if best(trials).loss_bpb >= before:
            return trials


def _climb(
    trials: list[Trial],
    evaluate: Callable[[Sequence[Settings]], list[Trial]],
    name: str,
    ladder: Sequence[Any],
) -> None:
    """Add trials along one axis until both neighbours of the best point are known."""
    while True:
        centre = best(trials).settings
        at = ladder.index(centre[name])
        neighbours = [{**centre, name: ladder[k]} for k in (at - 1, at + 1) if 0 <= k < len(ladder)]
        known = [dict(trial.settings) for trial in trials]
        new = [settings for settings in neighbours if settings not in known]
        if not new:
            return
        trials += evaluate(new)
