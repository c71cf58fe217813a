"""An input for every round of every kind of subject: seeded, and the same at every call."""

import math

import numpy as np
from numpy.typing import NDArray

from olrl.control.decision import Base
from olrl.learners.learner import UpdateReport
from olrl.monitor.signals import Signals
from olrl.streams.chunk import Chunk
from olrl.streams.document import Document

BASE = Base(lr=1e-3, batch_size=8, window=4)


def rng_of(k: int) -> np.random.Generator:
    return np.random.default_rng([11, k])


def loss(k: int) -> float:
    """A noisy loss that jumps up every 25 rounds and recovers."""
    return 2.0 + 1.5 * math.exp(-(k % 25) / 5) + 0.05 * float(rng_of(k).standard_normal())


def tokens(k: int) -> NDArray[np.int32]:
    """A chunk of four sequences of eight predicted tokens, from an alphabet that changes every 25 rounds."""
    return rng_of(k).integers(1 + 20 * (k // 25 % 3), 60, size=(4, 9)).astype(np.int32)


def chunk(k: int) -> Chunk:
    return Chunk(tokens=tokens(k), n_bytes=np.full(4, 8, dtype=np.int32), index=k)


def report(k: int) -> UpdateReport:
    if k % 7 == 3:
        return UpdateReport()
    return UpdateReport(updates=5, examples=40, train_loss_nats=loss(k), grad_norm=1.0 + k % 3, grad_cos=0.1)


def signals(k: int) -> Signals:
    """What a round may measure: now and then something is missing, and detectors fire."""
    rng = rng_of(k)
    missing = k % 11 == 5
    return Signals(
        loss_nats=None if missing else loss(k),
        loss_bpb=None if missing else loss(k) / math.log(2),
        loss_std=0.2,
        train_loss_nats=loss(k) - 0.1,
        grad_norm=float(rng.lognormal()),
        grad_snr=float(rng.normal()),
        grad_cos=None if k % 13 == 4 else float(rng.uniform(-1, 1)),
        gradient_age=k % 2,
        update_ratio=1e-3,
        old_new_gap=float(rng.normal(scale=0.1)),
        hist_shift=float(rng.uniform(0, 0.8)),
        hist_shift_last=float(rng.uniform(0, 0.8)),
        alarms=("adwin",) if k % 25 == 2 else (),
        rounds_since_alarm=k % 25,
        lr=BASE.lr,
        batch_size=BASE.batch_size,
        window=BASE.window,
        updates=5,
        spent=60.0,
    )


def document(k: int) -> Document:
    """Texts of 0 to 200 characters, some of them of several bytes."""
    letters = rng_of(k).choice(list("abcdefgh äß€𝄞"), size=k * 37 % 200)
    return Document(text="".join(letters), source=f"source {k % 3}", segment=k // 10)


def targets(k: int) -> NDArray[np.float64]:
    """Four noisy targets in three dimensions, which jump every 25 rounds, each with a floor (row: 4 numbers)."""
    rows = k // 25 % 2 + 0.3 * rng_of(k).standard_normal((4, 4))
    return np.abs(rows)
