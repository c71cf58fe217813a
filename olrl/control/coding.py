"""How a policy's discrete actions become decisions, for n learners at once: state, decisions, interface."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from olrl.control.decision import BATCH_SIZES, MAX_LR_NOTCHES, WINDOWS, Base, Decision

CODING_VERSION = 1
_WINDOWS = np.array(WINDOWS)
_POSITION = {window: position for position, window in enumerate(WINDOWS)}
_LARGEST_BATCH = BATCH_SIZES[-1]
_SKIP = np.array(0)  # of the last head; 1 trains
# As arrays, since a Python number costs more at every use.
_LOWEST_RATE, _HIGHEST_RATE = np.array(-float(MAX_LR_NOTCHES)), np.array(float(MAX_LR_NOTCHES))
_SMALLEST_SIZE, _LARGEST_SIZE = np.array(1.0), np.array(float(_LARGEST_BATCH))
_Number = TypeVar("_Number", np.float64, np.int64)


@dataclass(kw_only=True)
class ActionState:
    """Where n learners stand, and the base they are counted from; arrays of shape (n,), changed by `apply`.

    `lr_notches` counts factors of two from the base rate, within ±6 (fractions under codings with a
    continuous part). `batch_notches` counts them from the base batch size (fractions where that is off the
    ladder 1, 2, 4, … 64 and a coding goes there). `window` is a position on the window ladder, 0 to 7.
    `weight_decay` and `pull` are as in `Decision`; codings that do not control them leave them at the base's.
    """

    base_lr: NDArray[np.float64]
    base_batch_size: NDArray[np.int64]
    lr_notches: NDArray[np.float64]
    batch_notches: NDArray[np.float64]
    window: NDArray[np.int64]
    weight_decay: NDArray[np.float64]
    pull: NDArray[np.float64]

    def state_dict(self) -> dict[str, list[float]]:
        """All of it, JSON-able."""
        return {name: array.tolist() for name, array in vars(self).items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()` for as many learners; ValueError for another shape or value."""
        state = {"weight_decay": self.weight_decay, "pull": self.pull, **state}  # older ones have neither
        loaded = {name: np.asarray(state[name], dtype=mine.dtype) for name, mine in vars(self).items()}
        for name, given in loaded.items():
            if given.shape != self.window.shape or not np.isfinite(given).all():
                raise ValueError(f"action state {name!r} must be finite and of shape {self.window.shape}")
        if not ((loaded["window"] >= 0) & (loaded["window"] < len(WINDOWS))).all():
            raise ValueError(f"action state 'window' must be positions from 0 to {len(WINDOWS) - 1}")
        if not ((loaded["base_batch_size"] >= 1) & (loaded["base_batch_size"] <= _LARGEST_BATCH)).all():
            raise ValueError(f"action state 'base_batch_size' must be from 1 to {_LARGEST_BATCH}")
        if not (loaded["base_lr"] > 0).all():
            raise ValueError("action state 'base_lr' must be positive")
        for name in ("weight_decay", "pull"):
            if not (loaded[name] >= 0).all():
                raise ValueError(f"action state {name!r} must be at least 0")
        for name in ("lr_notches", "batch_notches"):
            if (np.abs(loaded[name]) > MAX_LR_NOTCHES).any():
                raise ValueError(f"action state {name!r} must be from -{MAX_LR_NOTCHES} to {MAX_LR_NOTCHES}")
        vars(self).update(loaded)

    def go_to(self, *, lr: float, batch_size: float, window: float) -> None:
        """Stand where these values are in force, or as near as bounds and ladders allow; all learners alike.

        A value that is no number leaves its knob where it is.
        """
        if math.isfinite(lr) and lr > 0:
            with np.errstate(all="ignore"):  # a quotient beyond all floats ends at the bound too
                self.lr_notches = within(np.log2(lr / self.base_lr), _LOWEST_RATE, _HIGHEST_RATE)
        if math.isfinite(batch_size):
            size = min(max(batch_size, 1), _LARGEST_BATCH)
            self.batch_notches = np.log2(size / self.base_batch_size)
        if math.isfinite(window):
            self.window[:] = round(math.log2(min(max(window, 1), 64))) if window else _POSITION[0]

    def put(self, which: NDArray[Any], other: ActionState) -> None:
        """Replace the learners in `which` (a mask or indices) by those of another state."""
        for name, mine in vars(self).items():
            mine[which] = getattr(other, name)

    def copy(self) -> ActionState:
        """An independent copy."""
        return ActionState(**{name: array.copy() for name, array in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """Decisions of n learners; arrays of shape (n,) with the meaning and bounds of `Decision`'s fields.

    `weight_decay` and `pull` are there under a coding that controls them; else they are the base's.
    """

    lr: NDArray[np.float64]
    batch_size: NDArray[np.int64]
    window: NDArray[np.int64]
    update: NDArray[np.bool_]
    weight_decay: NDArray[np.float64] | None = None
    pull: NDArray[np.float64] | None = None

    def single(self, index: int = 0, *, base: Base | None = None) -> Decision:
        """The decision of one learner; what the coding does not control is the base's (0 without one)."""
        return Decision(
            lr=float(self.lr[index]),
            batch_size=int(self.batch_size[index]),
            window=int(self.window[index]),
            update=bool(self.update[index]),
            weight_decay=self.regularisation(base, "weight_decay", index),
            pull=self.regularisation(base, "pull", index),
        )

    def regularisation(self, base: Base | None, name: str, index: int) -> float:
        """`weight_decay` or `pull` of one learner."""
        decided: NDArray[np.float64] | None = getattr(self, name)
        if decided is not None:
            return float(decided[index])
        return 0.0 if base is None else float(getattr(base, name))


class ActionCoding(ABC):
    """A named way to read actions, integers of shape (n, heads): rate, batch size, window, update.

    One that `regularises` has heads for weight decay and pull before the last. `nvec` is the number of choices of
    each head, as in Gymnasium's `MultiDiscrete`. The last head is always
    0 to skip training in this round and 1 to train. A coding holds settings only; where the learners stand is
    an `ActionState`, so one coding serves any number of them.
    """

    name: ClassVar[str]
    nvec: ClassVar[tuple[int, ...]]
    regularises: ClassVar[bool] = False
    reads: ClassVar[tuple[str, ...]] = ()  # names of signals

    def start(self, *, base_lr: ArrayLike, base_batch_size: ArrayLike, base_window: ArrayLike) -> ActionState:
        """The state of learners at their bases, which broadcast to shape (n,).

        Raises ValueError for a rate that is not positive, a batch size outside 1 … 64 or a window off the
        ladder.
        """
        lr, batch, window = np.broadcast_arrays(
            np.atleast_1d(np.asarray(base_lr, dtype=np.float64)), base_batch_size, base_window
        )
        if not (np.isfinite(lr).all() and (lr > 0).all()):
            raise ValueError(f"base lr must be positive numbers, not {base_lr!r}")
        if not ((batch >= 1) & (batch <= _LARGEST_BATCH)).all():
            raise ValueError(f"base batch size must be from 1 to {_LARGEST_BATCH}, not {base_batch_size!r}")
        if not np.isin(window, WINDOWS).all():
            raise ValueError(f"base window must be on the ladder {WINDOWS}, not {base_window!r}")
        return ActionState(
            base_lr=lr.copy(),
            base_batch_size=batch.astype(np.int64),
            lr_notches=np.zeros(lr.shape),
            batch_notches=np.zeros(lr.shape),
            window=np.array([_POSITION[int(one)] for one in window], dtype=np.int64),
            weight_decay=np.zeros(lr.shape),
            pull=np.zeros(lr.shape),
        )

    def start_at(self, bases: Sequence[Base]) -> ActionState:
        """The state of learners at these bases."""
        state = self.start(
            base_lr=[base.lr for base in bases],
            base_batch_size=[base.batch_size for base in bases],
            base_window=[base.window for base in bases],
        )
        state.weight_decay = np.array([base.weight_decay for base in bases], dtype=np.float64)
        state.pull = np.array([base.pull for base in bases], dtype=np.float64)
        return state

    def apply(
        self,
        state: ActionState,
        actions: NDArray[Any],
        signals: Mapping[str, NDArray[np.float64]] | None = None,
    ) -> Decisions:
        """Move `state` by actions of shape (n, heads) and return the decisions.

        `signals` (as from `batch_signals`, of the round being decided) are for codings that act on top of a
        rule: only those in `reads` matter, and what is absent or NaN counts as nothing measured. ValueError
        for actions out of range.
        """
        actions = np.asarray(actions)
        if actions.shape != (len(state.window), len(self.nvec)):
            raise ValueError(
                f"actions must be of shape ({len(state.window)}, {len(self.nvec)}), not {actions.shape}"
            )
        heads = np.array(actions.T, dtype=np.int64, order="C")  # (heads, n)
        if np.count_nonzero(heads.view(np.uint64) >= _choices(self.nvec)):  # a negative one becomes enormous
            raise ValueError(
                f"actions of {self.name!r} must be from 0 to below {self.nvec}, not {actions.tolist()}"
            )
        self._move(state, heads, signals or {})
        state.lr_notches = within(state.lr_notches, _LOWEST_RATE, _HIGHEST_RATE)
        return Decisions(
            lr=state.base_lr * np.exp2(state.lr_notches),
            batch_size=batch_size(state),
            window=_WINDOWS.take(state.window),
            update=heads[-1] != _SKIP,
            weight_decay=state.weight_decay.copy() if self.regularises else None,
            pull=state.pull.copy() if self.regularises else None,
        )

    @abstractmethod
    def _move(
        self, state: ActionState, heads: NDArray[np.int64], signals: Mapping[str, NDArray[np.float64]]
    ) -> None:
        """Move `state` by the choices of each head, shape (heads, n); the rate is bounded afterwards."""

    @abstractmethod
    def stay(self, state: ActionState) -> NDArray[np.int64]:
        """Actions, shape (n, heads), that leave `state` as it is (of what a coding can leave) and train."""

    def settings(self) -> dict[str, float]:
        """What the coding was built with, JSON-able."""
        return {}

    def spec(self) -> dict[str, Any]:
        """The coding as it is written into a policy file: version, name, settings, nvec; JSON-able."""
        return {
            "version": CODING_VERSION,
            "name": self.name,
            "settings": self.settings(),
            "nvec": list(self.nvec),
        }


@cache
def _choices(nvec: tuple[int, ...]) -> NDArray[np.uint64]:
    return np.array(nvec, dtype=np.uint64)[:, None]


def batch_size(state: ActionState) -> NDArray[np.int64]:
    """The batch sizes of a state, shape (n,), from 1 to 64."""
    size = state.base_batch_size.astype(np.float64) * np.exp2(state.batch_notches)
    return within(np.rint(size), _SMALLEST_SIZE, _LARGEST_SIZE).astype(np.int64)


def within(values: NDArray[_Number], low: NDArray[_Number], high: NDArray[_Number]) -> NDArray[_Number]:
    """`np.clip` without its overhead, which counts for one learner."""
    bounded: NDArray[_Number] = np.minimum(np.maximum(values, low), high)
    return bounded
