"""One way to tune every rival: the same streams, the same number of trials, everything recorded."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from olrl.control.decision import Base
from olrl.learners.cost import CostModel
from olrl.models.load import load_model

from ..fingerprint import fingerprint, model_place
from ..rivals.registry import ENTRANTS
from .entrant_places import code_places
from .jobs import TRAINING_SEED, Job, run_jobs
from .play import Trace
from .suites import Wanted, streams_of

Settings = Mapping[str, Any]
_CONSTANT = Base(lr=1e-3, batch_size=4, window=4)  # where the search for a constant starts if none ships


@dataclass(frozen=True, kw_only=True)
class TuningConfig:
    """On what a rival is tuned: training streams of a suite, from bases right and wrong.

    `price` is what a whole budget is worth, as a share of the loss. `base_lr_mult` are the factors on the base
    rate; an entrant that does not use it is tuned at 1 alone.
    """

    model: str
    streams: int = 4
    rounds: int = 100
    base_lr_mult: tuple[float, ...] = (0.125, 1.0, 8.0)
    seed: int = TRAINING_SEED
    suite: str = "drift"
    price: float = 0.0

    def __post_init__(self) -> None:
        for name in ("streams", "rounds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)!r}")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Settings and their mean prequential loss over all streams and bases, bits a byte.

    Where training has a price, the loss is that with the price of what was spent, as a share of itself.
    `examples` were trained on in it, by shadow learners and in searches of the rival's own too; `spent` are the
    cost units of all that, passes for signals included.
    """

    settings: Settings
    loss_bpb: float
    examples: int
    spent: float


class Tuner:
    """Makes trials of one entrant; each run is cached, so that a tuning can be resumed and extended.

    Runs are made in `pool`, where one is given, else in `processes` of their own. Raises ValueError for a model
    without a base, or an entrant that cannot run here.
    """

    def __init__(
        self, entrant: str, config: TuningConfig, *, cache: Path, processes: int, pool: Executor | None = None
    ) -> None:
        ENTRANTS[entrant].check()
        loaded = load_model(config.model)
        base = _CONSTANT if entrant == "fixed" else loaded.base  # what it is tuned from says nothing about it
        if base is None:
            raise ValueError(f"model {config.model!r} has no base configuration: tune 'fixed' for it first")
        self.entrant, self.config = entrant, config
        self._cache, self._processes, self._pool = cache, processes, pool
        self._base, self._fixed, self._seq_len = base, loaded.fixed, loaded.seq_len
        # not its tuning record: what is tried replaces that, and writing it must not end a tuning's cache
        self._fingerprint = fingerprint([*code_places(entrant), model_place(config.model)], builtin=True)
        wanted = Wanted(
            streams=config.streams,
            rounds=config.rounds,
            bytes_per_round=loaded.bytes_per_round(chunk=16),
            split="train",
            seed=config.seed,
        )
        self._streams = streams_of(config.suite, wanted)

    def own_settings(self) -> Settings:
        """The first ones to try: the entrant's own, which for a constant are the one that ships."""
        if self.entrant != "fixed":
            return ENTRANTS[self.entrant].start
        shipped = self._fixed or _CONSTANT
        return {"lr": shipped.lr, "batch_size": shipped.batch_size, "window": shipped.window}

    def trial(self, settings: Settings) -> Trial:
        """Try settings on all streams from all bases, in parallel."""
        jobs = self._jobs(settings)
        found = dict(run_jobs(jobs, cache=self._cache, processes=self._processes, pool=self._pool))
        traces = [found[job] for job in jobs]
        return Trial(
            settings=settings,
            loss_bpb=float(np.mean([self._loss(trace) for trace in traces])),
            examples=sum(trace.examples + trace.shadow_examples + trace.trial_examples for trace in traces),
            spent=sum(trace.total_cost for trace in traces),
        )

    def _loss(self, trace: Trace) -> float:
        share = trace.total_spent / (CostModel().budget * len(trace.spent))
        return trace.mean_loss_bpb * (1 + self.config.price * share)

    def _jobs(self, settings: Settings) -> list[Job]:
        mults = self.config.base_lr_mult if ENTRANTS[self.entrant].uses_base else (1.0,)
        frozen = {name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()}
        return [
            Job(
                entrant=self.entrant,
                stream=stream,
                model=self.config.model,
                base=replace(self._base, lr=self._base.lr * mult),
                fixed=self._fixed,
                base_lr_mult=mult,
                policy="default",
                seed=self.config.seed,
                rounds=self.config.rounds,
                seq_len=self._seq_len,
                price=self.config.price,
                settings=tuple(sorted(frozen.items())),
                fingerprint=self._fingerprint,
            )
            for stream in self._streams
            for mult in mults
        ]


def tune(tuner: Tuner, *, trials: int, told: Callable[[Trial], None] = lambda trial: None) -> list[Trial]:
    """Trials of an entrant's settings, its own first, then as its search proposes; `told` hears of each.

    Trials come one after the other, each to be learned from, and their runs in parallel. The seed of the tuning
    decides the proposals, so that one which was stopped makes the same again, out of the cache. A search that is
    through makes fewer. ValueError for an entrant with nothing to tune.
    """
    search = ENTRANTS[tuner.entrant].search(seed=tuner.config.seed)
    if search is None:
        raise ValueError(f"{tuner.entrant!r} has nothing to tune")
    if trials < 1:
        raise ValueError(f"trials must be at least 1, not {trials!r}")
    made = [tuner.trial(tuner.own_settings())]
    told(made[0])
    while len(made) < trials and (settings := search.ask()) is not None:
        made.append(tuner.trial(settings))
        search.tell(made[-1].loss_bpb)
        told(made[-1])
    return made


def best(trials: Sequence[Trial]) -> Trial:
    """The trial of least loss, the earliest among equals."""
    return min(trials, key=lambda trial: trial.loss_bpb)


def record(trials: Sequence[Trial], config: TuningConfig, *, path: Path) -> None:
    """Write the tuning record: the best settings, what they were tuned on, and every trial."""
    found = best(trials)
    content = {
        "settings": found.settings,
        "loss_bpb": found.loss_bpb,
        "tuning_examples": sum(trial.examples for trial in trials),
        "tuning_spent": sum(trial.spent for trial in trials),
        "tuned_on": asdict(config),
        "trials": [asdict(trial) for trial in trials],
    }
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
