"""The environment around an online learning loop; what it learns on is supplied by episodes."""

import math
from abc import ABC, abstractmethod
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from olrl.control.actions import action_coding
from olrl.control.coding import ActionCoding
from olrl.control.decision import Decision
from olrl.loop import RoundRecord
from olrl.monitor.feature_set import HAND_MADE, FeatureSet, feature_set_of
from olrl.monitor.feature_spec import FEATURE_CLIP
from olrl.monitor.features import batch_signals
from olrl.monitor.signals import Signals

from .episode import Episode
from .history import History
from .reward import Reward, running_mean, worst_spent_fraction

Observation = NDArray[np.float32]
EPISODE_SEEDS = 2**63  # an episode is named by an integer below this


class ControlEnv(gymnasium.Env[Observation, NDArray[np.int64]], ABC):
    """Steers an `OnlineLoop`: an action is the decision for the chunk observed last.

    `step` decodes the action, trains under it, scores the next chunk and rewards by that next chunk's loss: the
    first one the decision could change (`Reward` has the formula). The observation is `FeatureExtractor`'s, or
    with `features`, the spec of a selected set, that set's. An episode is a function of one integer, drawn from
    the environment's generator at each reset, or given by `reset(options={"episode_seed": n})`.

    `info` holds `record`, the `RoundRecord` of the round just trained (`None` after a reset), `loss_nats` and
    `reference_nats` on the chunk observed last, `episode_seed`, and `truth`, which no controller may see.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 4}  # noqa: RUF012 # Gymnasium declares it so

    def __init__(
        self,
        *,
        coding: str,
        coding_settings: dict[str, float] | None = None,
        reward: Reward,
        features: dict[str, Any] | None = None,
        render_mode: str | None = None,
    ) -> None:
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(f"render_mode must be ansi, rgb_array or None, not {render_mode!r}")
        self.render_mode = render_mode
        self.reward = reward
        self.coding = action_coding(coding, **(coding_settings or {}))
        self.action_space = action_space(self.coding)
        self.features = HAND_MADE if features is None else feature_set_of(features)
        self.observation_space = observation_space(self.features)  # type: ignore[assignment] # a Box of float32
        self._playing: Episode | None = None
        self._finished = True

    @abstractmethod
    def _new_episode(self, seed: int) -> Episode:
        """An episode made from a seed in [0, 2**63) alone."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode and observe its first chunk.

        The option `episode_seed`, an integer from 0 to 2**63 - 1, names the episode; otherwise one is drawn.
        """
        super().reset(seed=seed)
        self._begin(draw_episode_seed(self.np_random, options))
        signals = self._episode.loop.observe()
        assert signals is not None, "a stream holds at least one chunk"
        self._take_in(signals)
        return self._observation.copy(), self._info(None)

    def _begin(self, episode_seed: int) -> None:
        self._episode_seed = episode_seed
        self._playing = episode = self._new_episode(episode_seed)
        self._standing = self.coding.start_at([episode.base])
        self._features = self.features.extractor([episode.base])
        self._history = History(base_lr=episode.base.lr)
        self._round, self._finished = 0, False
        self._running = self._loss = self._reference = 0.0

    @property
    def _episode(self) -> Episode:
        if self._playing is None:
            raise RuntimeError("no episode has been started: call reset()")
        return self._playing

    def step(self, action: NDArray[np.int64]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Train under the action's decision and observe the next chunk.

        RuntimeError once the episode is over; ValueError for an action outside the space.
        """
        if self._finished:
            raise RuntimeError("the episode is over: call reset()")
        loop = self._episode.loop
        record = loop.apply(self._decode(action))
        signals = loop.observe()
        self._round += 1
        truncated = signals is None or self._round >= self._episode.rounds
        if signals is not None:
            self._take_in(signals)
        reward, terminated = self._judge(record, observed=signals is not None)
        self._finished = terminated or truncated
        self._history.decided(record, reward)
        return self._observation.copy(), reward, terminated, truncated and not terminated, self._info(record)

    def _decode(self, action: NDArray[np.int64]) -> Decision:
        if not self.action_space.contains(np.asarray(action)):
            raise ValueError(f"an action lies in {self.action_space}, not {action!r}")
        decisions = self.coding.apply(self._standing, np.asarray(action)[None], self._signals)
        return decisions.single(base=self._episode.base)

    def _take_in(self, signals: Signals) -> None:
        self._loss = math.nan if signals.loss_nats is None else signals.loss_nats
        self._reference = self._episode.reference_loss()
        self._running = float(running_mean(self._running, self._reference, self._round + 1))
        self._signals = batch_signals([signals])
        self._observation: Observation = self._features.update(self._signals)[0]
        self._history.observed(self._loss, self._reference, signals.alarms)

    def _judge(self, record: RoundRecord, *, observed: bool) -> tuple[float, bool]:
        """Reward of the round, and whether the learner failed; a stream that ended shows no loss."""
        loop, rounds_left = self._episode.loop, self._episode.rounds - record.round
        price = loop.monitor.price
        if observed and self.reward.failed(loss=self._loss, running=self._running):
            worst = worst_spent_fraction(loop.cost)
            failure = self.reward.of_failure(rounds_left=rounds_left, price=price, worst_spent_fraction=worst)
            return float(failure), True
        loss, reference = (self._loss, self._reference) if observed else (0.0, 0.0)
        reward = self.reward.of(
            loss=loss,
            reference=reference,
            running=self._running,
            price=price,
            spent_fraction=record.spent / loop.cost.budget,
        )
        return float(reward), False

    def _info(self, record: RoundRecord | None) -> dict[str, Any]:
        return {
            "record": record,
            "loss_nats": self._loss,
            "reference_nats": self._reference,
            "episode_seed": self._episode_seed,
            "truth": self._episode.truth(),
        }

    def render(self) -> str | NDArray[np.uint8] | None:
        """The last round as a line (`ansi`), or the episode as an image of (480, 640, 3) (`rgb_array`)."""
        if self.render_mode == "ansi":
            return self._history.line()
        if self.render_mode == "rgb_array":
            return self._history.image()
        return None

    def get_state(self) -> dict[str, Any]:
        """An exact snapshot between two steps: numbers, arrays and records, copied."""
        return {
            "np_random": self.np_random.bit_generator.state,
            "episode_seed": self._episode_seed,
            "episode": self._episode.state_dict(),
            "standing": self._standing.state_dict(),
            "features": self._features.state_dict(),
            "history": self._history.state_dict(),
            "signals": {name: values.copy() for name, values in self._signals.items()},
            "observation": self._observation.copy(),
            "numbers": (self._round, self._finished, self._running, self._loss, self._reference),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state()`, of this environment or another made with the same arguments."""
        if self._playing is None or state["episode_seed"] != self._episode_seed:
            self._begin(state["episode_seed"])
        self.np_random.bit_generator.state = state["np_random"]
        self._episode.load_state_dict(state["episode"])
        self._standing.load_state_dict(state["standing"])
        self._features.load_state_dict(state["features"])
        self._history.load_state_dict(state["history"])
        self._signals = {name: values.copy() for name, values in state["signals"].items()}
        self._observation = state["observation"].copy()
        self._round, self._finished, self._running, self._loss, self._reference = state["numbers"]


def action_space(coding: ActionCoding) -> spaces.MultiDiscrete[np.int64]:
    """The choices of a coding's four heads: learning rate, batch size, window, update."""
    return spaces.MultiDiscrete(list(coding.nvec))


def observation_space(features: FeatureSet = HAND_MADE) -> spaces.Box:
    """The features of a set, each within ±5."""
    return spaces.Box(-FEATURE_CLIP, FEATURE_CLIP, shape=(len(features),), dtype=np.float32)


def draw_episode_seed(rng: np.random.Generator, options: dict[str, Any] | None) -> int:
    """The next episode's seed, unless the options name one; ValueError for one outside [0, 2**63)."""
    drawn = int(rng.integers(EPISODE_SEEDS))  # in any case, so that options change no later draw
    seed = (options or {}).get("episode_seed", drawn)
    if not (isinstance(seed, int | np.integer) and 0 <= seed < EPISODE_SEEDS):
        raise ValueError(f"episode_seed must be an integer from 0 to 2**63 - 1, not {seed!r}")
    return int(seed)
