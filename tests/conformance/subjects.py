"""All that is registered and has state, found by name, each with an input for every round."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.control.decision import Base
from olrl.learners.cost import CostModel
from olrl.learners.learner import UpdateReport
from olrl.memory import Memory
from olrl.monitor.detectors import DETECTORS, DetectorBank
from olrl.monitor.histograms import TokenHistograms
from olrl.monitor.monitor import LoopMonitor
from olrl.monitor.signals import Signals
from olrl.streams.chunk import Chunk
from tests.conformance.subject import ARRAYS, COPY, JSON, Subject

BASE = Base(lr=1e-3, batch_size=8, window=4)


def _rng(k: int) -> np.random.Generator:
    return np.random.default_rng([11, k])


def loss(k: int) -> float:
    """A noisy loss that jumps up every 25 rounds and recovers."""
    return 2.0 + 1.5 * math.exp(-(k % 25) / 5) + 0.05 * float(_rng(k).standard_normal())


def tokens(k: int) -> NDArray[np.int32]:
    """A chunk of four sequences of eight predicted tokens, from an alphabet that changes every 25 rounds."""
    return _rng(k).integers(1 + 20 * (k // 25 % 3), 60, size=(4, 9)).astype(np.int32)


def chunk(k: int) -> Chunk:
    return Chunk(tokens=tokens(k), n_bytes=np.full(4, 8, dtype=np.int32), index=k)


def report(k: int) -> UpdateReport:
    if k % 7 == 3:
        return UpdateReport()
    return UpdateReport(updates=5, examples=40, train_loss_nats=loss(k), grad_norm=1.0 + k % 3, grad_cos=0.1)


def signals(k: int) -> Signals:
    """What a round may measure: now and then something is missing, and detectors fire."""
    rng = _rng(k)
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


def _memory_round(memory: Memory, given: NDArray[np.int32]) -> Any:
    memory.add(given)
    k = memory.chunks_seen
    return [memory.draw(round_=k, window=window, start=0, count=6) for window in (1, 4, 64, 0)]


def _monitor_round(monitor: LoopMonitor, given: tuple[Chunk, UpdateReport]) -> Any:
    new, done = given
    losses = np.full(4, loss(new.index))
    measured = monitor.measure(new, losses, losses[:2] + 0.1, in_force=BASE.decision())
    monitor.trained(BASE.decision(), done, spent=60.0)
    return measured


def _monitor(seed: int) -> LoopMonitor:
    return LoopMonitor(detectors=DetectorBank(), histograms=TokenHistograms(), cost=CostModel())


def _detector(name: str) -> Subject:
    return Subject(
        name=f"detector {name}",
        make=lambda seed: DetectorBank((name,)),
        given=loss,
        step=lambda bank, given: bank.update(given),
        codec=JSON,
        rounds=200,
        long=600,
    )


SUBJECTS: list[Subject] = [
    Subject(
        name="memory",
        make=lambda seed: Memory(
            chunk_size=4, example_shape=(9,), dtype=np.int32, reservoir_size=64, seed=seed
        ),
        given=tokens,
        step=_memory_round,
        codec=ARRAYS,
        rounds=100,
    ),
    *(_detector(name) for name in DETECTORS),
    Subject(
        name="token histograms",
        make=lambda seed: TokenHistograms(),
        given=tokens,
        step=lambda histograms, given: histograms.shift(given, window=4),
        codec=ARRAYS,
    ),
    Subject(
        name="loop monitor",
        make=_monitor,
        given=lambda k: (chunk(k), report(k)),
        step=_monitor_round,
        codec=COPY,
        long=600,
    ),
]
