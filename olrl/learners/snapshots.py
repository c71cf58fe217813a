"""A ring of a learner's last good states, in memory."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.learners.learner import Learner

State = dict[str, NDArray[Any]]


class Snapshots:
    """The newest `size` states of a learner that were found good, at least `every` good rounds apart.

    Each is as large as weights and optimizer together. `restore` puts one back, and gives up those that are newer.

    >>> snapshots = Snapshots(size=3, every=5)
    >>> len(snapshots)
    0
    """

    def __init__(self, *, size: int, every: int) -> None:
        if size < 0 or every < 1:
            raise ValueError(f"size must be at least 0 and every at least 1, not {size!r} and {every!r}")
        self._size, self._every = size, every
        self._states: list[State] = []
        self._good_rounds = every  # since the last one was kept: the first good state is kept at once

    def __len__(self) -> int:
        return len(self._states)

    @property
    def states(self) -> list[State]:
        """The states from the oldest to the newest, not to be changed."""
        return list(self._states)

    def good(self, learner: Learner) -> None:
        """The learner's state was found good: keep a copy, if it is time for one."""
        if not self._size:
            return
        self._good_rounds += 1
        if self._good_rounds > self._every or not self._states:
            self._states = [*self._states, learner.state_dict()][-self._size :]
            self._good_rounds = 1

    def restore(self, learner: Learner, place: int = -1) -> None:
        """Put the state at this place of `states` back, by default the newest; ValueError if there is none."""
        if not self._states:
            raise ValueError("there is no good state to go back to")
        learner.load_state_dict(self._states[place])
        self._states = self._states[: place % len(self._states) + 1]
        self._good_rounds = 1

    def state_dict(self) -> State:
        """All states as named arrays, `0/…` the oldest, and where the ring stands."""
        state = {"ring": np.array([len(self._states), self._good_rounds], dtype=np.int64)}
        for k, one in enumerate(self._states):
            state |= {f"{k}/{name}": array for name, array in one.items()}
        return state

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Continue from `state_dict()`; of more states than fit the newest are kept."""
        count, good_rounds = (int(value) for value in state["ring"])
        states = [
            {
                name.removeprefix(f"{k}/"): np.array(array)
                for name, array in state.items()
                if name.startswith(f"{k}/")
            }
            for k in range(count)
        ]
        self._states = states[-self._size :] if self._size else []
        self._good_rounds = good_rounds
