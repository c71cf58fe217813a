"""Runs with a fault and without, beside each other on the same chunks with the same draws."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faults.fault import FAULTS, Fault, FaultyController, FaultyLoop, FaultyNetwork
from olrl.assembly import LoopConfig, assemble_loop, cut_chunks
from olrl.control.decision import Base, Decision
from olrl.control.guard import Guard
from olrl.control.policy import FrozenPolicy
from olrl.deployment import Deployment
from olrl.interrupt import Interrupt
from olrl.learners.causal_lm import CausalLMLearner
from olrl.learners.networks import network_of
from olrl.models.load import LoadedModel, load_model
from olrl.monitor.signals import Signals
from olrl.streams.chunk import Chunk
from olrl.streams.corpus import load_corpus
from olrl.streams.drift import drift_stream
from olrl.streams.suite import SuiteConfig

MEANT_OVER = 5  # rounds
TOLERANCE = 1.05  # of the undisturbed run's loss
AFTER_SWITCH = 20  # rounds that count as recovery from drift


@dataclass(frozen=True, kw_only=True)
class Course:
    """How long a run is, when its fault begins, and how soon after the fault all is to be well, in rounds."""

    rounds: int = 120
    start: int = 25
    inside: int = 50


class _Unguarded(Guard):
    """Lets everything pass."""

    def check(self, decision: Decision, signals: Signals, **others: Any) -> tuple[Decision, str | None]:
        """The decision given."""
        self.healthy = False  # so that nothing is kept to roll back to
        return decision, None


@dataclass(frozen=True, kw_only=True)
class Played:
    """A run: losses (nats a token, NaN where lost), the guard's reasons by round, whether weights are finite."""

    losses: NDArray[np.float64]
    reasons: dict[int, str]
    layers: dict[str, int]
    rollbacks: int
    finite: bool


class Bench:
    """One model under one policy on validation streams."""

    def __init__(self, name: str, policy: FrozenPolicy, *, course: Course | None = None) -> None:
        self.course = course or Course()
        self.loaded: LoadedModel = load_model(name)
        if self.loaded.base is None:
            raise SystemExit(f"{name} ships no base configuration")
        self.base: Base = self.loaded.base
        self._policy = policy
        self._initial = {"values": CausalLMLearner(self.loaded.model).state_dict()["values"]}
        self._corpus = load_corpus()

    def chunks(self, number: int) -> list[Chunk]:
        """The chunks of a validation stream."""
        config = LoopConfig(seq_len=self.loaded.seq_len)
        suite = SuiteConfig.for_rounds(
            self.course.rounds,
            bytes_per_round=self.loaded.bytes_per_round(chunk=config.chunk),
            split="validation",
            seed=11,
        )
        documents = drift_stream(suite.stream(number, self._corpus), self._corpus)
        return list(islice(cut_chunks(documents, self.loaded.tokenizer, config), self.course.rounds))

    def play(self, chunks: Sequence[Chunk], *, fault: Fault | None, guarded: bool, seed: int) -> Played:
        """A run over these chunks from the model's shipped weights."""
        network = FaultyNetwork(network_of(self.loaded.model))
        learner = CausalLMLearner(self.loaded.model, network=network)
        learner.load_state_dict(self._initial)
        config = LoopConfig(seq_len=self.loaded.seq_len, seed=seed)
        loop = FaultyLoop(
            assemble_loop(iter(chunks), learner, base=self.base, config=config),
            network,
            fault,
            start=self.course.start,
        )
        kind = Guard if guarded else _Unguarded
        guard = kind(base=self.base, training_range=self._policy.training_range, task="lm")
        controller = FaultyController(self._policy.controller(base=self.base), loop)
        deployment = Deployment(loop, controller=controller, guard=guard, interrupt=Interrupt())
        outcomes = list(deployment.rounds())
        values = learner.state_dict()["values"]
        return Played(
            losses=np.array(
                [math.nan if o.record.loss_nats is None else o.record.loss_nats for o in outcomes]
            ),
            reasons={o.record.round: o.guard for o in outcomes if o.guard is not None},
            layers=dict(guard.counts),
            rollbacks=guard.rollbacks,
            finite=bool(np.isfinite(values).all()),
        )


def fault_row(
    bench: Bench, chunks: Sequence[Chunk], number: int, name: str, calm: Played, *, guarded: bool
) -> dict[str, Any]:
    """One disturbed run beside the undisturbed one, from the fault's last round on."""
    fault, start = FAULTS[name], bench.course.start
    stop, inside = start + fault.rounds, bench.course.inside
    given = (
        [*chunks[:start], *[chunks[start]] * fault.rounds, *chunks[start + 1 :]] if fault.repeat else chunks
    )
    given = given[: stop + inside]
    played = bench.play(given, fault=fault, guarded=guarded, seed=number)
    mine = charged(played.losses)[stop:]
    theirs = charged(calm.losses)[start + 1 if fault.repeat else stop :]
    mine, theirs = mine[:inside], theirs[:inside]
    near = smooth(mine) <= TOLERANCE * smooth(theirs)
    first = next((k for k in range(len(near)) if near[k]), None)
    seen = [reason for k, reason in played.reasons.items() if start <= k <= stop]
    return {
        "stream": number,
        "fault": name,
        "guarded": guarded,
        "finite": played.finite,
        "recovered_after_rounds": first,
        "loss_at_end": float(smooth(mine)[-1] / smooth(theirs)[-1]),
        "loss_over_50": float(mine.mean() / theirs.mean()),
        "logged": bool(seen),
        "reason": seen[0] if seen else None,
        "layers": played.layers,
        "rollbacks": played.rollbacks,
    }


def drift_rows(chunks: Sequence[Chunk], number: int, guarded: Played, free: Played) -> list[dict[str, Any]]:
    """Guarded beside unguarded on a stream without faults, over the rounds after each true switch, and in all."""
    rows = []
    segments = [chunk.segment for chunk in chunks]
    switches = [k for k in range(1, len(segments)) if segments[k] != segments[k - 1]]
    for switch in switches:
        after = slice(
            switch, min([switch + AFTER_SWITCH, *(s for s in switches if s > switch), len(segments)])
        )
        if after.stop - after.start >= MEANT_OVER:
            rows.append(
                {
                    "stream": number,
                    "switch": switch,
                    "rounds": after.stop - after.start,
                    "guarded_over_unguarded": float(guarded.losses[after].mean() / free.losses[after].mean()),
                    "interventions": sum(after.start <= k < after.stop for k in guarded.reasons),
                }
            )
    whole = float(guarded.losses[1:].mean() / free.losses[1:].mean())
    return [
        {"stream": number, "whole": whole, "layers": guarded.layers, "rollbacks": guarded.rollbacks},
        *rows,
    ]


def charged(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Losses with that of a uniform guess among bytes where they are lost."""
    finite: NDArray[np.float64] = np.where(np.isfinite(losses), losses, math.log(256))
    return finite


def smooth(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over five rounds in a row."""
    means: NDArray[np.float64] = np.lib.stride_tricks.sliding_window_view(losses, MEANT_OVER).mean(axis=-1)
    return means
