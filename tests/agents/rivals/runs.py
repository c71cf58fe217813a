"""Short runs of the femto model on drifting text, for the tests of rivals."""

from dataclasses import replace
from typing import Any

from olrl.agents.evaluation.jobs import Job, StreamRef, run_job
from olrl.agents.evaluation.play import Trace
from olrl.control.decision import Base
from olrl.streams.drift import DriftConfig

BASE = Base(lr=2e-3, batch_size=4, window=4)
FIXED = Base(lr=4e-3, batch_size=2, window=1)
_DRIFT = DriftConfig(
    kind="abrupt", n_bytes=40_000, segment_bytes=(4_000, 6_000), seed=3, split="validation",
    domains=("docstrings", "stdlib", "dialogue"),
)  # fmt: skip
STREAM = StreamRef(name="drift", kind="abrupt", drift=_DRIFT)


def job(entrant: str, *, rounds: int = 6, base: Base = BASE, policy: str = "default", **settings: Any) -> Job:
    """A run; `settings`, where given, are those of the entrant."""
    return Job(
        entrant=entrant,
        stream=STREAM,
        model="femto",
        base=base,
        fixed=FIXED,
        base_lr_mult=1.0,
        policy=policy,
        seed=0,
        rounds=rounds,
        settings=tuple(settings.items()) if settings else None,
    )


def run(entrant: str, **given: Any) -> Trace:
    """The trace of a run, made in this process."""
    return run_job(job(entrant, **given))


def shown(trace: Trace) -> Trace:
    """A trace without how long it took."""
    return replace(trace, seconds=0.0)
