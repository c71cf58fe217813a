"""Action codings: how a policy's discrete actions become decisions, for n learners at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from olrl.control.decision import BATCH_SIZES, MAX_LR_NOTCHES, WINDOWS, Decision

CODING_VERSION = 1
_WINDOWS = np.array(WINDOWS)
_POSITION = {window: position for position, window in enumerate(WINDOWS)}
_LARGEST_BATCH = BATCH_SIZES[-1]
_SKIP = 0  # of the last head; 1 trains


@dataclass(kw_only=True)
class ActionState:
    """Where n learners stand, and the base they are counted from; arrays of shape (n,), changed by `apply`.

    `lr_notches` counts factors of two from the base rate, within ±6 (fractions under codings with a continuous
    part), `batch_notches` the same for the batch size, and `window` is a position on the ladder, 0 to 7.
    """

    base_lr: NDArray[np.float64]
    base_batch_size: NDArray[np.int64]
    lr_notches: NDArray[np.float64]
    batch_notches: NDArray[np.int64]
    window: NDArray[np.int64]

    def state_dict(self) -> dict[str, list[float]]:
        """All of it, JSON-able."""
        return {name: array.tolist() for name, array in vars(self).items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()` for as many learners; ValueError for another shape or value."""
        loaded = {name: np.asarray(state[name], dtype=mine.dtype) for name, mine in vars(self).items()}
        for name, given in loaded.items():
            if given.shape != self.window.shape or not np.isfinite(given).all():
                raise ValueError(f"action state {name!r} must be finite and of shape {self.window.shape}")
        if not ((loaded["window"] >= 0) & (loaded["window"] < len(WINDOWS))).all():
            raise ValueError(f"action state 'window' must be positions from 0 to {len(WINDOWS) - 1}")
        vars(self).update(loaded)

    def put(self, which: NDArray[Any], other: ActionState) -> None:
        """Replace the learners in `which` (a mask or indices) by those of another state."""
        for name, mine in vars(self).items():
            mine[which] = getattr(other, name)

    def copy(self) -> ActionState:
        """An independent copy."""
        return ActionState(**{name: array.copy() for name, array in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """Decisions of n learners; arrays of shape (n,) with the meaning and bounds of `Decision`'s fields."""

    lr: NDArray[np.float64]
    batch_size: NDArray[np.int64]
    window: NDArray[np.int64]
    update: NDArray[np.bool_]

    def one(self, index: int = 0, *, weight_decay: float = 0.0) -> Decision:
        """The decision of one learner."""
        return Decision(
            lr=float(self.lr[index]),
            batch_size=int(self.batch_size[index]),
            window=int(self.window[index]),
            update=bool(self.update[index]),
            weight_decay=weight_decay,
        )


class ActionCoding(ABC):
    """A named way to read actions, integers of shape (n, 4): learning rate, batch size, window, update.

    `nvec` is the number of choices of each head, as in Gymnasium's `MultiDiscrete`. The last head is always 0 to
    skip training in this round and 1 to train. A coding holds settings only; where the learners stand is an
    `ActionState`, so one coding serves any number of them.
    """

    name: ClassVar[str]
    nvec: ClassVar[tuple[int, int, int, int]]

    def start(self, *, base_lr: ArrayLike, base_batch_size: ArrayLike, base_window: ArrayLike) -> ActionState:
        """The state of learners at their bases, which broadcast to shape (n,).

        Raises ValueError for a rate that is not positive, a batch size outside 1 … 64, a window off the ladder.
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
            batch_notches=np.zeros(lr.shape, dtype=np.int64),
            window=np.array([_POSITION[int(one)] for one in window], dtype=np.int64),
        )

    def apply(
        self,
        state: ActionState,
        actions: NDArray[Any],
        signals: Mapping[str, NDArray[np.float64]] | None = None,
    ) -> Decisions:
        """Move `state` by actions of shape (n, 4) and return the decisions.

        `signals` (as from `batch_signals`, of the round being decided) are read by codings that act on top of a
        rule; what is absent or NaN counts as nothing measured. ValueError for actions out of range.
        """
        actions = np.asarray(actions)
        if actions.shape != (len(state.window), 4):
            raise ValueError(f"actions must be of shape ({len(state.window)}, 4), not {actions.shape}")
        if not ((actions >= 0) & (actions < np.array(self.nvec))).all():
            raise ValueError(
                f"actions of {self.name!r} must be from 0 to below {self.nvec}, not {actions.tolist()}"
            )
        self._move(state, actions.astype(np.int64), signals or {})
        np.clip(state.lr_notches, -MAX_LR_NOTCHES, MAX_LR_NOTCHES, out=state.lr_notches)
        return Decisions(
            lr=state.base_lr * np.exp2(state.lr_notches),
            batch_size=_batch_size(state.base_batch_size, state.batch_notches),
            window=_WINDOWS[state.window],
            update=actions[:, 3] != _SKIP,
        )

    @abstractmethod
    def _move(
        self, state: ActionState, actions: NDArray[np.int64], signals: Mapping[str, NDArray[np.float64]]
    ) -> None: ...

    @abstractmethod
    def stay(self, state: ActionState) -> NDArray[np.int64]:
        """Actions, shape (n, 4), that leave `state` as it is (of what a coding can leave) and train."""

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


def _batch_size(base: NDArray[np.int64], notches: NDArray[np.int64]) -> NDArray[np.int64]:
    size = np.rint(np.clip(base * np.exp2(notches), 1, _LARGEST_BATCH))
    return size.astype(np.int64)


def _notch_range(base: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The notches at which the smallest and the largest batch size are reached: further ones change nothing."""
    low = -np.ceil(np.log2(base)).astype(np.int64)
    high = np.ceil(np.log2(_LARGEST_BATCH / base)).astype(np.int64)
    return low, high


def _move_batch(state: ActionState, by: NDArray[np.int64]) -> None:
    low, high = _notch_range(state.base_batch_size)
    state.batch_notches[:] = np.clip(state.batch_notches + by, low, high)


def _put_batch(state: ActionState, position: NDArray[np.int64]) -> None:
    """Batch size at a position 0 … 6: that many factors of two above the base's smallest."""
    low, high = _notch_range(state.base_batch_size)
    state.batch_notches[:] = np.clip(low + position, low, high)


def _batch_position(state: ActionState) -> NDArray[np.int64]:
    low, _ = _notch_range(state.base_batch_size)
    return np.clip(state.batch_notches - low, 0, 6)


class Moves(ActionCoding):
    """One notch down (0), stay (1) or up (2) for rate (a factor 2), batch size (a factor 2), window (one step).

    >>> coding = Moves()
    >>> state = coding.start(base_lr=1e-3, base_batch_size=8, base_window=4)
    >>> coding.apply(state, np.array([[2, 0, 1, 1]])).one()
    Decision(lr=0.002, batch_size=4, window=4, update=True, weight_decay=0.0)
    """

    name = "moves"
    nvec = (3, 3, 3, 2)

    def _move(
        self, state: ActionState, actions: NDArray[np.int64], signals: Mapping[str, NDArray[np.float64]]
    ) -> None:
        state.lr_notches += actions[:, 0] - 1
        _move_batch(state, actions[:, 1] - 1)
        np.clip(state.window + actions[:, 2] - 1, 0, len(WINDOWS) - 1, out=state.window)

    def stay(self, state: ActionState) -> NDArray[np.int64]:
        """All ones."""
        return np.ones((len(state.window), 4), dtype=np.int64)


class Positions(ActionCoding):
    """One notch of the rate as in `moves`; batch size (0 … 6) and window (0 … 7) as positions on their ladders.

    Positions cannot drift: a policy with a slight preference stands somewhere instead of walking to a bound.

    >>> coding = Positions()
    >>> state = coding.start(base_lr=1e-3, base_batch_size=8, base_window=4)
    >>> coding.apply(state, np.array([[1, 0, 7, 1]])).one()
    Decision(lr=0.001, batch_size=1, window=0, update=True, weight_decay=0.0)
    """

    name = "positions"
    nvec = (3, len(BATCH_SIZES), len(WINDOWS), 2)

    def _move(
        self, state: ActionState, actions: NDArray[np.int64], signals: Mapping[str, NDArray[np.float64]]
    ) -> None:
        state.lr_notches += actions[:, 0] - 1
        _put_batch(state, actions[:, 1])
        state.window[:] = actions[:, 2]

    def stay(self, state: ActionState) -> NDArray[np.int64]:
        """The middle move and the positions in force."""
        ones = np.ones(len(state.window), dtype=np.int64)
        return np.stack([ones, _batch_position(state), state.window, ones], axis=1)


class Residual(ActionCoding):
    """As `positions`, with the rate's move on top of a hypergradient step: log lr += beta × grad_cos.

    The step is cosine-normalised as in `Hypergradient`, and taken only on a gradient that is new
    (`gradient_age` 0 or not given). The move changes the rate by `notch` factors of two.
    """

    name = "residual"
    nvec = (3, len(BATCH_SIZES), len(WINDOWS), 2)

    def __init__(self, *, beta: float = 1.0, notch: float = 1.0) -> None:
        if not 0 <= beta <= 10:
            raise ValueError(f"beta must be from 0 to 10, not {beta!r}")
        if not 0 < notch <= MAX_LR_NOTCHES:
            raise ValueError(
                f"notch must be above 0 and at most {MAX_LR_NOTCHES} factors of two, not {notch!r}"
            )
        self.beta = beta
        self.notch = notch

    def _move(
        self, state: ActionState, actions: NDArray[np.int64], signals: Mapping[str, NDArray[np.float64]]
    ) -> None:
        cosine = np.clip(np.nan_to_num(signals.get("grad_cos", np.zeros(1)), posinf=0.0, neginf=0.0), -1, 1)
        new = ~(np.asarray(signals.get("gradient_age", 0.0)) > 0)
        state.lr_notches += self.beta * cosine * new / np.log(2.0) + self.notch * (actions[:, 0] - 1)
        _put_batch(state, actions[:, 1])
        state.window[:] = actions[:, 2]

    def stay(self, state: ActionState) -> NDArray[np.int64]:
        """No move beside the hypergradient step, and the positions in force."""
        return Positions().stay(state)

    def settings(self) -> dict[str, float]:
        """`beta` and `notch`."""
        return {"beta": self.beta, "notch": self.notch}


class Anchored(ActionCoding):
    """Every knob a position: rate base × 2^(k − 6) for k in 0 … 12, batch size 0 … 6, window 0 … 7."""

    name = "anchored"
    nvec = (2 * MAX_LR_NOTCHES + 1, len(BATCH_SIZES), len(WINDOWS), 2)

    def _move(
        self, state: ActionState, actions: NDArray[np.int64], signals: Mapping[str, NDArray[np.float64]]
    ) -> None:
        state.lr_notches[:] = actions[:, 0] - MAX_LR_NOTCHES
        _put_batch(state, actions[:, 1])
        state.window[:] = actions[:, 2]

    def stay(self, state: ActionState) -> NDArray[np.int64]:
        """The positions in force."""
        rate = np.rint(state.lr_notches).astype(np.int64) + MAX_LR_NOTCHES
        return np.stack([rate, *Positions().stay(state).T[1:]], axis=1)


ACTION_CODINGS: dict[str, type[ActionCoding]] = {
    coding.name: coding for coding in (Moves, Positions, Residual, Anchored)
}


def action_coding(name: str, **settings: float) -> ActionCoding:
    """A coding by name; ValueError for an unknown name or setting.

    >>> action_coding("moves").nvec
    (3, 3, 3, 2)
    """
    if name not in ACTION_CODINGS:
        raise ValueError(f"unknown action coding {name!r}; known: {', '.join(ACTION_CODINGS)}")
    try:
        return ACTION_CODINGS[name](**settings)
    except TypeError:
        known = ", ".join(ACTION_CODINGS[name]().settings()) or "none"
        raise ValueError(
            f"action coding {name!r} takes the settings {known}, not {sorted(settings)}"
        ) from None


def coding_from_spec(given: Any) -> ActionCoding:
    """The coding that `spec()` described; ValueError for anything else."""
    if not isinstance(given, dict) or set(given) != {"version", "name", "settings", "nvec"}:
        raise ValueError("an action spec is an object with version, name, settings and nvec")
    if given["version"] != CODING_VERSION:
        raise ValueError(
            f"action codings of version {given['version']!r} are not known, only {CODING_VERSION}"
        )
    settings = given["settings"]
    if not isinstance(settings, dict) or not all(
        isinstance(value, (int, float)) and not isinstance(value, bool) for value in settings.values()
    ):
        raise ValueError("the settings of an action coding are numbers by name")
    coding = action_coding(str(given["name"]), **settings)
    if coding.spec() != given:
        raise ValueError(f"the action spec says {given}, but {coding.name!r} is {coding.spec()}")
    return coding
