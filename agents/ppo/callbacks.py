"""What is shown and recorded while PPO runs."""

import math
from collections.abc import Callable

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback


class StageCallback(BaseCallback):
    """Tells `progress` the steps made, and logs how the actions are used.

    Logged at each rollout's end, means over it: under `control/` the choice of each head (for moves 0 is down, 1
    stay and 2 up; for `update` it is the share of rounds that train); under `learner/`, where environments tell
    them, the learner's loss and the reference's, and the share of the budget spent.
    """

    def __init__(self, progress: Callable[[int, str], None]) -> None:
        super().__init__()
        self._progress = progress
        self._seen: dict[str, list[float]] = {}

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            for name in ("loss_nats", "reference_nats", "spent_share"):
                if name in info:
                    self._note(name, info[name])
        return True

    def _note(self, name: str, value: float) -> None:
        if math.isfinite(value):
            self._seen.setdefault(name, []).append(value)

    def _on_rollout_end(self) -> None:
        actions = self.model.rollout_buffer.actions  # type: ignore[attr-defined] # on-policy algorithms have one
        flat = actions.reshape(-1, actions.shape[-1])
        for index, name in enumerate(("lr", "batch_size", "window", "update")):
            self.logger.record(f"control/{name}_choice", float(np.mean(flat[:, index])))
        for name, values in self._seen.items():
            self.logger.record(f"learner/{name}", float(np.mean(values)))
        self._seen.clear()
        returns = [episode["r"] for episode in self.model.ep_info_buffer or []]
        note = f"mean return {np.mean(returns):.2f}" if returns else ""
        self._progress(self.model.num_timesteps, note)
