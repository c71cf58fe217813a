"""Language-model environments, many at once: `OnlineLMEnv` with its learners stacked."""

import math
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.assembly import assemble_rounds
from olrl.control.coding import Decisions
from olrl.control.decision import Base
from olrl.learners.learner import UpdateReport
from olrl.learners.stack import LearnerStack, StackReports
from olrl.loop import RoundRecord, Rounds
from olrl.monitor.features import batch_signals
from olrl.monitor.signals import Signals as LearnerSignals

from .control_vec_env import ControlVecEnv, Floats, Ints, Signals
from .online_lm import OnlineLMEnv, Replay
from .reward import running_mean, worst_spent_fraction

_FIGURES = tuple(field.name for field in fields(StackReports) if field.name not in ("updates", "nonfinite"))


class OnlineLMVecEnv(ControlVecEnv):
    """n `OnlineLMEnv` as one stable-baselines3 `VecEnv`; keyword arguments are that environment's.

    Observations, rewards and ends of episodes are those of a `DummyVecEnv` of n of them under the same seeds
    and actions, to 1e-5: the learners are one `LearnerStack`, so that a batch of products is one call, on a
    GPU as on a CPU. Everything else is that environment's own, one for each learner.

    `info` also holds `loss_nats` and `reference_nats` on the chunk observed last and `spent_share`, the share of
    its budget that the round spent; `records` are the whole records of the round, one for each learner.

    >>> envs = OnlineLMVecEnv(2, rounds=4, n_streams=1)
    >>> envs.seed(0)
    [0, 1]
    >>> observations = envs.reset()
    >>> observations, rewards, ended, infos = envs.step(np.ones((2, 4), dtype=np.int64))
    >>> observations.shape == (2, *envs.observation_space.shape), envs.records[0].report.updates > 0
    (True, True)
    """

    def __init__(self, n: int, **settings: Any) -> None:
        self._single = single = OnlineLMEnv(**settings)
        super().__init__(n, single, rounds=single.rounds)
        self._stack = LearnerStack(single.loaded.model, n, optimizer=single.optimizer)
        self._loops: list[Rounds] = []
        self._decays = np.zeros(n)
        self._length = single.loaded.seq_len + 1
        self._references: list[tuple[float, ...]] = [()] * n
        self.records: list[RoundRecord] = []
        self.loss_nats, self.reference_nats = np.zeros(n), np.zeros(n)
        self._running, self._price, self._worst_spent = np.zeros(n), np.zeros(n), np.ones(n)

    def _begin(self, which: Ints, episode_seeds: list[int]) -> list[Base]:
        streams = self._single.streams
        tasks = [self._single.draw_task(seed) for seed in episode_seeds]
        streams.prepare(task.number for task in tasks)
        if not self._loops:
            self._loops = [None] * self.num_envs  # type: ignore[list-item] # all are filled below
        self._stack.reset(which)
        for i, task in zip(which, tasks, strict=True):
            chunks = Replay(streams.chunks(task.number))
            self._loops[i] = assemble_rounds(chunks, base=task.base, config=task.config)
            self._references[i] = streams.reference(task.number)
            self._decays[i], self._price[i] = task.base.weight_decay, task.config.price
            self._worst_spent[i] = worst_spent_fraction(task.config.cost)
        self._running[which] = 0.0
        return [task.base for task in tasks]

    def _observe(self, which: Ints, *, first: bool) -> Signals:
        loops = [self._loops[i] for i in which]
        examples = [loop.next_examples() for loop in loops]
        losses = self._score(which, [rows for rows in examples if rows is not None])
        signals = [loop.observed(row) for loop, row in zip(loops, losses, strict=True)]
        self._take_in(which, signals)
        return batch_signals(signals)

    def _score(self, which: Ints, examples: list[NDArray[np.int32]]) -> list[Floats]:
        """Losses of each learner's examples; all have as many but where an episode has just begun."""
        counts = [len(rows) for rows in examples]
        losses: list[Floats] = [np.empty(0)] * len(examples)
        for count in set(counts):
            places = [k for k, other in enumerate(counts) if other == count]
            found = self._stack.score(np.stack([examples[k] for k in places]), which[places])
            for k, row in zip(places, found, strict=True):
                losses[k] = row
        return losses

    def _take_in(self, which: Ints, signals: list[LearnerSignals]) -> None:
        rounds = [self._loops[i].round for i in which]
        self.loss_nats[which] = [math.nan if one.loss_nats is None else one.loss_nats for one in signals]
        self.reference_nats[which] = [self._references[i][t] for i, t in zip(which, rounds, strict=True)]
        counts = np.array(rounds) + 1
        self._running[which] = running_mean(self._running[which], self.reference_nats[which], counts)

    def _train(self, decisions: Decisions) -> None:
        loops = self._loops
        singles = [decisions.single(i, weight_decay=float(decay)) for i, decay in enumerate(self._decays)]
        drawn = [loop.training(decision) for loop, decision in zip(loops, singles, strict=True)]
        training = np.array([i for i, rows in enumerate(drawn) if rows is not None], dtype=np.int64)
        rows = [drawn[i] for i in training]
        examples = np.zeros((len(rows), max(map(len, rows), default=0), self._length), dtype=np.int32)
        for place, some in zip(examples, rows, strict=True):
            place[: len(some)] = some
        sizes = decisions.batch_size[training]
        reports = self._stack.update(
            examples,
            training,
            batch_size=sizes,
            updates=np.array([len(some) for some in rows], dtype=np.int64) // sizes,
            lr=decisions.lr[training],
            weight_decay=self._decays[training],
        )
        done = {int(i): _report(reports, k, sizes) for k, i in enumerate(training)}
        self.records = [
            loop.trained(decision, done.get(i, UpdateReport()))
            for i, (loop, decision) in enumerate(zip(loops, singles, strict=True))
        ]

    def _infos(self) -> list[dict[str, Any]]:
        losses, references = self.loss_nats.tolist(), self.reference_nats.tolist()
        return [
            {"loss_nats": loss, "reference_nats": reference, "spent_share": share}
            for loss, reference, share in zip(losses, references, self._spent_shares(), strict=True)
        ]

    def _spent_shares(self) -> list[float]:
        return [
            record.spent / loop.cost.budget for record, loop in zip(self.records, self._loops, strict=True)
        ]

    def _judge(self) -> tuple[Floats, NDArray[np.bool_]]:
        failed = self.reward.failed(loss=self.loss_nats, running=self._running)
        rewards = self.reward.of(
            loss=self.loss_nats,
            reference=self.reference_nats,
            running=self._running,
            price=self._price,
            spent_fraction=self._spent_shares(),
        )
        penalties = self.reward.of_failure(
            rounds_left=self.rounds - self._round + 1,
            price=self._price,
            worst_spent_fraction=self._worst_spent,
        )
        return np.where(failed, penalties, rewards), failed


def _report(reports: StackReports, k: int, sizes: Ints) -> UpdateReport:
    """One learner's report."""
    figures = {name: float(getattr(reports, name)[k]) for name in _FIGURES}
    updates, nonfinite = int(reports.updates[k]), int(reports.nonfinite[k])
    return UpdateReport(
        updates=updates,
        nonfinite=nonfinite,
        examples=(updates + nonfinite) * int(sizes[k]),
        **{name: None if math.isnan(value) else value for name, value in figures.items()},
    )
