"""Language-model environments, many at once: `OnlineLMEnv` with its learners stacked."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.assembly import assemble_rounds
from olrl.control.coding import Decisions
from olrl.control.decision import Base
from olrl.loop import RoundRecord
from olrl.monitor.features import batch_signals
from olrl.monitor.signals import Signals as LearnerSignals

from .control_vec_env import ControlVecEnv, Floats, Ints, Signals
from .online_lm import OnlineLMEnv, Replay
from .reward import running_mean, worst_spent_fraction
from .stacked_loops import StackedLoops


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
        self._loops = StackedLoops(
            single.loaded.model, n, optimizer=single.optimizer, seq_len=single.loaded.seq_len
        )
        self._references: list[tuple[float, ...]] = [()] * n
        self.records: list[RoundRecord] = []
        self.loss_nats, self.reference_nats = np.zeros(n), np.zeros(n)
        self._running, self._price, self._worst_spent = np.zeros(n), np.zeros(n), np.ones(n)

    def _begin(self, which: Ints, episode_seeds: list[int]) -> list[Base]:
        streams = self._single.streams
        tasks = [self._single.draw_task(seed) for seed in episode_seeds]
        streams.prepare(task.number for task in tasks)
        loops = [
            assemble_rounds(Replay(streams.chunks(task.number)), base=task.base, config=task.config)
            for task in tasks
        ]
        self._loops.begin(which, loops, [task.base for task in tasks])
        for i, task in zip(which, tasks, strict=True):
            self._references[i] = streams.reference(task.number)
            self._price[i] = task.config.price
            self._worst_spent[i] = worst_spent_fraction(task.config.cost)
        self._running[which] = 0.0
        return [task.base for task in tasks]

    def _observe(self, which: Ints, *, first: bool) -> Signals:
        signals = self._loops.observe(which)
        self._take_in(which, signals)
        return batch_signals(signals)

    def _take_in(self, which: Ints, signals: list[LearnerSignals]) -> None:
        rounds = [self._loops[i].round for i in which]
        self.loss_nats[which] = [math.nan if one.loss_nats is None else one.loss_nats for one in signals]
        self.reference_nats[which] = [self._references[i][t] for i, t in zip(which, rounds, strict=True)]
        counts = np.array(rounds) + 1
        self._running[which] = running_mean(self._running[which], self.reference_nats[which], counts)

    def _train(self, decisions: Decisions) -> None:
        self.records = self._loops.train(decisions)

    def _infos(self) -> list[dict[str, Any]]:
        losses, references = self.loss_nats.tolist(), self.reference_nats.tolist()
        return [
            {"loss_nats": loss, "reference_nats": reference, "spent_share": share}
            for loss, reference, share in zip(losses, references, self._spent_shares(), strict=True)
        ]

    def _spent_shares(self) -> list[float]:
        return [record.spent / self._loops[i].cost.budget for i, record in enumerate(self.records)]

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
