"""What the guard does about faults, and that it leaves real drift alone: `docs/guard.json`.

    python scripts/fault_study.py                      both models, about ten minutes on one core
    python scripts/fault_study.py --models pico --numbers 0 --out guard.json

Real models on validation streams of the builtin drift suite, steered by a policy. Every disturbed run is paired
with an undisturbed one on the same chunks with the same draws, and is made with the guard and without it.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from olrl.assembly import LoopConfig, assemble_loop, cut_chunks
from olrl.control.controller import Controller
from olrl.control.decision import Base, Decision
from olrl.control.guard import Guard
from olrl.control.policy import FrozenPolicy, load_policy
from olrl.deployment import Deployment
from olrl.interrupt import Interrupt
from olrl.learners.causal_lm import CausalLMLearner
from olrl.learners.network import Network
from olrl.learners.networks import network_of
from olrl.loop import OnlineLoop
from olrl.models.load import LoadedModel, load_model
from olrl.monitor.signals import Signals
from olrl.streams.chunk import Chunk
from olrl.streams.corpus import load_corpus
from olrl.streams.drift import drift_stream
from olrl.streams.suite import SuiteConfig

ROUNDS, START, INSIDE, MEANT_OVER = 120, 25, 50, 5  # rounds
TOLERANCE = 1.05  # of the undisturbed run's loss
AFTER_SWITCH = 20  # rounds that count as recovery from drift
STREAMS = (0, 2, 9, 1, 5, 6)  # of the suite: abrupt, recurring, abrupt, without drift, abrupt, recurring

Change = Callable[[Signals], Signals]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong from round `START` on, for `rounds` rounds.

    loss_factor: on losses and gradients of all that goes through the model (NaN: they are not finite).
    repeat: whether one chunk comes again and again.
    rate_factor: the controller is replaced by one that asks for so many times the base's rate.
    signals: what is done to the signals that controller and guard see.
    broken: whether all weights become NaN, once.
    """

    about: str
    rounds: int = 1
    loss_factor: float = 1.0
    repeat: bool = False
    rate_factor: float | None = None
    signals: Change | None = None
    broken: bool = False


def _far_out(signals: Signals) -> Signals:
    names = ("grad_norm", "grad_snr", "update_ratio", "train_loss_nats", "loss_std", "old_new_gap")
    given = {name: getattr(signals, name) for name in names}
    return replace(signals, **{name: 100 * value for name, value in given.items() if value is not None})


FAULTS = {
    "nan": Fault(about="one batch that is not a number", loss_factor=math.nan),
    "ten nans": Fault(about="ten of them in a row", rounds=10, loss_factor=math.nan),
    "spike": Fault(about="losses and gradients a hundredfold for a round", loss_factor=100.0),
    "weights": Fault(about="all weights become NaN once", broken=True),
    "duplicates": Fault(about="one chunk twenty times", rounds=20, repeat=True),
    "rate": Fault(about="64 times the base's rate for ten rounds", rounds=10, rate_factor=64.0),
    "far out": Fault(about="signals a hundredfold for twenty rounds", rounds=20, signals=_far_out),
}


class _FaultyNetwork(Network):
    """A network whose losses and gradients are multiplied by `factor`, which may change."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.factor = 1.0

    def losses(self, weights: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """As the network it stands for, times the factor."""
        return self._network.losses(weights, tokens) * self.factor

    def add_gradients(
        self, weights: torch.Tensor, tokens: torch.Tensor, *, to: torch.Tensor, scale: torch.Tensor
    ) -> torch.Tensor:
        """As the network it stands for, times the factor."""
        losses = self._network.add_gradients(weights, tokens, to=to, scale=scale * self.factor)
        return losses * self.factor


class _FaultyLoop(OnlineLoop):
    """A loop in which a fault happens; `controller` wraps the one that steers it."""

    def __init__(self, loop: OnlineLoop, network: _FaultyNetwork, fault: Fault | None) -> None:
        super().__init__(loop.rounds, loop.learner)
        self._network, self._fault = network, fault

    @property
    def at_fault(self) -> Fault | None:
        """The fault, while it lasts."""
        fault = self._fault
        return fault if fault and START <= self.rounds.round < START + fault.rounds else None

    def observe(self) -> Signals | None:
        """Score and measure, under the fault while it lasts."""
        fault = self.at_fault
        self._network.factor = fault.loss_factor if fault else 1.0
        if fault and fault.broken:
            state = self.learner.state_dict()
            self.learner.load_state_dict({**state, "values": np.full_like(state["values"], np.nan)})
        signals = super().observe()
        return fault.signals(signals) if signals and fault and fault.signals else signals


class _FaultyController(Controller):
    """A controller that asks for a rate far too high while the fault lasts."""

    def __init__(self, controller: Controller, loop: _FaultyLoop) -> None:
        super().__init__(base=controller.base)
        self._controller, self._loop = controller, loop

    def decide(self, signals: Signals) -> Decision:
        """The wrapped controller's decision, but for its rate."""
        decision, fault = self._controller.decide(signals), self._loop.at_fault
        if fault is None or fault.rate_factor is None:
            return decision
        return replace(decision, lr=self.base.lr * fault.rate_factor, update=True)

    def observed(self) -> NDArray[np.float64] | None:
        """What the wrapped one saw."""
        return self._controller.observed()

    def forget(self) -> None:
        """The wrapped one does."""
        self._controller.forget()

    def state_dict(self) -> dict[str, Any]:
        """That of the wrapped one."""
        return self._controller.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """That of the wrapped one."""
        self._controller.load_state_dict(state)


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

    def __init__(self, name: str, policy: FrozenPolicy) -> None:
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
            ROUNDS,
            bytes_per_round=self.loaded.bytes_per_round(chunk=config.chunk),
            split="validation",
            seed=11,
        )
        documents = drift_stream(suite.stream(number, self._corpus), self._corpus)
        return list(islice(cut_chunks(documents, self.loaded.tokenizer, config), ROUNDS))

    def play(self, chunks: Sequence[Chunk], *, fault: Fault | None, guarded: bool, seed: int) -> Played:
        """A run over these chunks from the model's shipped weights."""
        network = _FaultyNetwork(network_of(self.loaded.model))
        learner = CausalLMLearner(self.loaded.model, network=network)
        learner.load_state_dict(self._initial)
        config = LoopConfig(seq_len=self.loaded.seq_len, seed=seed)
        loop = _FaultyLoop(
            assemble_loop(iter(chunks), learner, base=self.base, config=config), network, fault
        )
        kind = Guard if guarded else _Unguarded
        guard = kind(base=self.base, training_range=self._policy.training_range)
        controller = _FaultyController(self._policy.controller(base=self.base), loop)
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
    fault = FAULTS[name]
    stop = START + fault.rounds
    given = (
        [*chunks[:START], *[chunks[START]] * fault.rounds, *chunks[START + 1 :]] if fault.repeat else chunks
    )
    given = given[: stop + INSIDE]
    played = bench.play(given, fault=fault, guarded=guarded, seed=number)
    mine = charged(played.losses)[stop:]
    theirs = charged(calm.losses)[START + 1 if fault.repeat else stop :]
    mine, theirs = mine[:INSIDE], theirs[:INSIDE]
    near = smooth(mine) <= TOLERANCE * smooth(theirs)
    first = next((k for k in range(len(near)) if near[k]), None)
    seen = [reason for k, reason in played.reasons.items() if START <= k <= stop]
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


def study(
    models: Sequence[str],
    *,
    numbers: Sequence[int],
    unguarded: int,
    policy: FrozenPolicy,
    chosen: Sequence[str],
) -> dict[str, Any]:
    """All rows of all models; faults without a guard on the first `unguarded` of the streams only."""
    faults: list[dict[str, Any]] = []
    drift: list[dict[str, Any]] = []
    for model in models:
        bench = Bench(model, policy)
        for place, number in enumerate(numbers):
            chunks = bench.chunks(number)
            calm, free = (bench.play(chunks, fault=None, guarded=g, seed=number) for g in (True, False))
            drift += _told([{"model": model, **row} for row in drift_rows(chunks, number, calm, free)])
            for name, guarded in product(chosen, (True, False)):
                if guarded or place < unguarded:
                    row = fault_row(bench, chunks, number, name, calm if guarded else free, guarded=guarded)
                    faults += _told([{"model": model, **row}])
    return {"faults": faults, "drift": drift}


def _told(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for row in rows:
        print(json.dumps(row), file=sys.stderr, flush=True)
    return rows


def main() -> None:
    """Make the runs and write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["pico", "nano"])
    parser.add_argument("--policy", default="default")
    parser.add_argument(
        "--numbers", type=int, nargs="+", default=STREAMS, help="streams of the suite, for each model"
    )
    parser.add_argument("--unguarded", type=int, default=2, help="of these, with faults and no guard too")
    parser.add_argument("--faults", nargs="*", choices=FAULTS, default=list(FAULTS))
    parser.add_argument("--out", type=Path, default=Path("docs/guard.json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = study(
        args.models,
        numbers=args.numbers,
        unguarded=args.unguarded,
        policy=load_policy(args.policy),
        chosen=args.faults,
    )
    found = {"rounds": ROUNDS, "fault_at": START, **found}
    args.out.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(args.out)


if __name__ == "__main__":
    main()
