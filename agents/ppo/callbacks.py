"""What is shown and recorded while PPO runs."""

from collections.abc import Callable

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback


class StageCallback(BaseCallback):
    """Tells `progress` the steps made, and logs how the actions are used.

    Logged at each rollout's end, under `control/`: the mean choice of each head (for moves 0 is down, 1 stay and
    2 up; for `update` it is the share of rounds that train).
    """

    def __init__(self, progress: Callable[[int, str], None]) -> None:
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
        note = f"mean return {np.mean(returns):.2f}" if returns else ""
        self._progress(self.model.num_timesteps, note)
