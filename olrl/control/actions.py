"""The action codings, by name."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.control.coding import CODING_VERSION, ActionCoding, ActionState, batch_size, within
from olrl.control.decision import BATCH_SIZES, MAX_LR_NOTCHES, REGULARISATION, WINDOWS

_BATCH_SIZES = np.array(BATCH_SIZES)
_LADDER = np.array(REGULARISATION)
_STAY = np.array(1)  # of a head that moves
_FAR_STAY = np.array(2)  # of one that moves up to two notches
_ZERO, _OPPOSED, _ALIGNED = np.array(0.0), np.array(-1.0), np.array(1.0)
_LN2 = np.log(2.0)
_SHORTEST, _FARTHEST = np.array(0), np.array(len(WINDOWS) - 1)
# By base batch size, from 0: notches down and up as far as the batch size still changes.
_SIZES = np.arange(1, BATCH_SIZES[-1] + 1)
_FEWEST_NOTCHES = np.concatenate([[0.0], -np.ceil(np.log2(_SIZES))])
_MOST_NOTCHES = np.concatenate([[0.0], np.ceil(np.log2(BATCH_SIZES[-1] / _SIZES))])


def _move_batch(state: ActionState, by: NDArray[np.float64]) -> None:
    """Notches down or up, within bounds at which the batch size still changes: a move can always be undone."""
    low, high = _FEWEST_NOTCHES.take(state.base_batch_size), _MOST_NOTCHES.take(state.base_batch_size)
    state.batch_notches = within(state.batch_notches + by, low, high)


def _move_window(state: ActionState, by: NDArray[np.int64]) -> None:
    state.window = within(state.window + by, _SHORTEST, _FARTHEST)


def _put(state: ActionState, batch: NDArray[np.int64], window: NDArray[np.int64]) -> None:
    """Batch size and window at these positions of their ladders."""
    state.batch_notches = np.log2(_BATCH_SIZES.take(batch) / state.base_batch_size)
    state.window = window


def _positions(state: ActionState) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The positions of batch size (the nearest) and window on their ladders."""
    return np.rint(np.log2(batch_size(state))).astype(np.int64), state.window


class Moves(ActionCoding):
    """One notch down (0), stay (1) or up (2) of rate and batch size (a factor 2) and window (one step).

    >>> coding = Moves()
    >>> state = coding.start(base_lr=1e-3, base_batch_size=8, base_window=4)
    >>> coding.apply(state, np.array([[2, 0, 1, 1]])).single()
    Decision(lr=0.002, batch_size=4, window=4, update=True, weight_decay=0.0, pull=0.0)
    """

    name = "moves"
    nvec = (3, 3, 3, 2)

    def _move(
        self, state: ActionState, heads: NDArray[np.int64], signals: Mapping[str, NDArray[np.float64]]
    ) -> None:
        steps = heads - _STAY
        turns = steps.astype(np.float64)
        state.lr_notches = state.lr_notches + turns[0]
        _move_batch(state, turns[1])
        _move_window(state, steps[2])

    def stay(self, state: ActionState) -> NDArray[np.int64]:
        """All ones."""
        return np.ones((len(state.window), 4), dtype=np.int64)


class MovesRegularised(ActionCoding):
    """As `moves`, with two heads more: weight decay and pull one step down (0), stay (1) or up (2) on their ladder.

    The ladder is 0, 0.1, 0.3, 1, 3, 10, 30; from a base between two steps a move goes to the next one. On the
    surrogate these have no effect worth learning (its optimum has no scale and no initial weights to keep), so
    that this coding trains on language models only.

    >>> from olrl.control.decision import Base
    >>> coding = MovesRegularised()
    >>> state = coding.start_at([Base(lr=1e-3, weight_decay=0.2)])
    >>> coding.apply(state, np.array([[1, 1, 1, 0, 2, 1]])).single()
    Decision(lr=0.001, batch_size=8, window=8, update=True, weight_decay=0.1, pull=0.1)
    """

    name = "moves-regularised"
    nvec = (3, 3, 3, 3, 3, 2)
    regularises = True

    def _move(
        self, state: ActionState, heads: NDArray[np.int64], signals: Mapping[str, NDArray[np.float64]]
    ) -> None:
        Moves()._move(state, heads[:3], signals)
        state.weight_decay = _step_on_ladder(state.weight_decay, heads[3])
        state.pull = _step_on_ladder(state.pull, heads[4])

    def stay(self, state: ActionState) -> NDArray[np.int64]:
        """All ones."""
        return np.ones((len(state.window), 6), dtype=np.int64)


def _step_on_ladder(values: NDArray[np.float64], choice: NDArray[np.int64]) -> NDArray[np.float64]:
    """The next value below (0) or above (2) on the ladder, where there is one; the value itself for 1.

    >>> _step_on_ladder(np.array([0.0, 0.2, 0.2, 30.0, 0.1]), np.array([0, 0, 2, 2, 1]))
    array([ 0. ,  0.1,  0.3, 30. ,  0.1])
    """
    below = _LADDER[np.maximum(np.searchsorted(_LADDER, values, side="left") - 1, 0)]
    at = np.searchsorted(_LADDER, values, side="right")
    above = np.where(at < len(_LADDER), _LADDER[np.minimum(at, len(_LADDER) - 1)], values)
    return np.where(choice == 0, below, np.where(choice == 2, above, values))


class Leaps(ActionCoding):
    """As `moves`, but up to two notches of the rate a round: two down (0), one (1), stay (2), one up (3), two (4).

    From a base that is eight times too high the right rate is two rounds away instead of three.

    >>> coding = Leaps()
    >>> state = coding.start(base_lr=1e-3, base_batch_size=8, base_window=4)
    >>> coding.apply(state, np.array([[4, 1, 1, 1]])).single().lr
    0.004
    """

    name = "leaps"
    nvec = (5, 3, 3, 2)

    def _move(
        self, state: ActionState, heads: NDArray[np.int64], signals: Mapping[str, NDArray[np.float64]]
    ) -> None:
        state.lr_notches = state.lr_notches + (heads[0] - _FAR_STAY)
        _move_batch(state, (heads[1] - _STAY).astype(np.float64))
        _move_window(state, heads[2] - _STAY)

    def stay(self, state: ActionState) -> NDArray[np.int64]:
        """The middle of each head."""
        return np.tile(np.array([2, 1, 1, 1]), (len(state.window), 1))


class Positions(ActionCoding):
    """One notch of the rate as in `moves`; batch size (0 … 6) and window (0 … 7) as ladder positions.

    Positions cannot drift: a policy with a slight preference stands somewhere instead of walking to a bound.

    >>> coding = Positions()
    >>> state = coding.start(base_lr=1e-3, base_batch_size=8, base_window=4)
    >>> coding.apply(state, np.array([[1, 0, 7, 1]])).single()
    Decision(lr=0.001, batch_size=1, window=0, update=True, weight_decay=0.0, pull=0.0)
    """

    name = "positions"
    nvec = (3, len(BATCH_SIZES), len(WINDOWS), 2)

    def _move(
        self, state: ActionState, heads: NDArray[np.int64], signals: Mapping[str, NDArray[np.float64]]
    ) -> None:
        state.lr_notches = state.lr_notches + (heads[0] - _STAY)
        _put(state, heads[1], heads[2])

    def stay(self, state: ActionState) -> NDArray[np.int64]:
        """The middle move and the positions in force."""
        ones = np.ones(len(state.window), dtype=np.int64)
        return np.stack([ones, *_positions(state), ones], axis=1)


class _OnHypergradient(ActionCoding):
    """The rate's move on top of a hypergradient step: log lr += beta × grad_cos, plus `notch` factors of two.

    The step is cosine-normalised as in `Hypergradient`, and taken only on a gradient that is new
    (`gradient_age` 0 or not given).
    """

    reads = ("grad_cos", "gradient_age")

    def __init__(self, *, beta: float = 1.0, notch: float = 1.0) -> None:
        if not 0 <= beta <= 10:
            raise ValueError(f"beta must be from 0 to 10, not {beta!r}")
        if not 0 < notch <= MAX_LR_NOTCHES:
            raise ValueError(
                f"notch must be above 0 and at most {MAX_LR_NOTCHES} factors of two, not {notch!r}"
            )
        self.beta = beta
        self.notch = notch

    def _move_rate(
        self, state: ActionState, moves: NDArray[np.int64], signals: Mapping[str, NDArray[np.float64]]
    ) -> None:
        cosine = np.asarray(signals.get("grad_cos", _ZERO))
        aged = np.asarray(signals.get("gradient_age", _ZERO)) > _ZERO
        step = np.where(np.isfinite(cosine) & ~aged, within(cosine, _OPPOSED, _ALIGNED), _ZERO)
        state.lr_notches = state.lr_notches + (self.beta * step / _LN2 + self.notch * (moves - _STAY))

    def settings(self) -> dict[str, float]:
        """`beta` and `notch`."""
        return {"beta": self.beta, "notch": self.notch}


class Residual(_OnHypergradient):
    """As `positions`, with the rate's move on top of a hypergradient step."""

    name = "residual"
    nvec = (3, len(BATCH_SIZES), len(WINDOWS), 2)

    def _move(
        self, state: ActionState, heads: NDArray[np.int64], signals: Mapping[str, NDArray[np.float64]]
    ) -> None:
        self._move_rate(state, heads[0], signals)
        _put(state, heads[1], heads[2])

    def stay(self, state: ActionState) -> NDArray[np.int64]:
        """No move beside the hypergradient step, and the positions in force."""
        return Positions().stay(state)


class ResidualMoves(_OnHypergradient):
    """As `moves`, with the rate's move on top of a hypergradient step: who only stays is `Hypergradient`.

    That makes it a safe start: a policy that has learned nothing yet already steers as well as the rule.
    """

    name = "residual-moves"
    nvec = (3, 3, 3, 2)

    def __init__(self, *, beta: float = 1.0, notch: float = 0.5) -> None:
        super().__init__(beta=beta, notch=notch)

    def _move(
        self, state: ActionState, heads: NDArray[np.int64], signals: Mapping[str, NDArray[np.float64]]
    ) -> None:
        self._move_rate(state, heads[0], signals)
        steps = heads - _STAY
        _move_batch(state, steps[1].astype(np.float64))
        _move_window(state, steps[2])

    def stay(self, state: ActionState) -> NDArray[np.int64]:
        """All ones: no move beside the hypergradient step."""
        return Moves().stay(state)


class Anchored(ActionCoding):
    """Every knob a position: rate base × 2^(k − 6) for k in 0 … 12, batch size 0 … 6, window 0 … 7."""

    name = "anchored"
    nvec = (2 * MAX_LR_NOTCHES + 1, len(BATCH_SIZES), len(WINDOWS), 2)

    def _move(
        self, state: ActionState, heads: NDArray[np.int64], signals: Mapping[str, NDArray[np.float64]]
    ) -> None:
        state.lr_notches = (heads[0] - MAX_LR_NOTCHES).astype(np.float64)
        _put(state, heads[1], heads[2])

    def stay(self, state: ActionState) -> NDArray[np.int64]:
        """The positions in force."""
        rate = np.rint(state.lr_notches).astype(np.int64) + MAX_LR_NOTCHES
        return np.stack([rate, *_positions(state), np.ones_like(rate)], axis=1)


ACTION_CODINGS: dict[str, type[ActionCoding]] = {
    coding.name: coding
    for coding in (Moves, MovesRegularised, Leaps, Positions, Residual, ResidualMoves, Anchored)
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
