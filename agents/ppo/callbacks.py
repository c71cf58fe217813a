"""What is shown and recorded while PPO runs."""

from collections.abc import Callable

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback


class StageCallback(BaseCallback):
    """Tells `progress` the steps made, and logs how the actions are used.

    Logged at each rollout's end, under `control/`: the share of rounds in which each head moves down, stays and
    moves up (or, for heads with more choices, the mean choice), and the share of rounds that train.
    """

    def __init__(self, progress: Callable[[int, float | None], None]) -> None:
        super().__init__()
        self._progress = progress

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        actions = self.model.rollout_buffer.actions  # type: ignore[attr-defined] # on-policy algorithms have one
        flat = actions.reshape(-1, actions.shape[-1])
        for index, name in enumerate(("lr", "batch_size", "window", "update")):
            self.logger.record(f"control/{name}_choice", float(np.mean(flat[:, index])))
        returns = [episode["r"] for episode in self.model.ep_info_buffer or []]
        self._progress(self.model.num_timesteps, float(np.mean(returns)) if returns else None)
