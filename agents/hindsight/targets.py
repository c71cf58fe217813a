"""What each choice would have cost, from the losses of constant runs on the same stream."""

import numpy as np
from numpy.typing import NDArray

from olrl.control.decision import BATCH_SIZES, WINDOWS
from olrl.envs.reward import running_mean

from .config import HindsightConfig
from .runs import BATCHES, RATE_OCTAVES, START_OCTAVES, WINDOW_POSITIONS, StreamRuns
from .updates import worth_of_training

Floats = NDArray[np.float64]
RATE_MOVES: dict[str, tuple[int, ...]] = {"moves": (-1, 0, 1), "leaps": (-2, -1, 0, 1, 2)}
STEPS = (-1, 0, 1)  # of batch size and window
TUNED = int(np.flatnonzero(RATE_OCTAVES == 0.0)[0])  # the constant run that is the reference
_NEVER = len(RATE_OCTAVES) + len(BATCHES) + len(WINDOW_POSITIONS)  # the one that never trains


def choice_costs(runs: StreamRuns, *, coding: str, config: HindsightConfig) -> list[Floats]:
    """Cost of every choice of every head at each learner's every decision: a table (n, T, choices) for each head.

    Per cent of the tuned constant's running loss, over the `horizon` rounds after the decision, relative to the
    best choice of the head. The cost of a rate is the loss of the run that always had it: what a learner would
    have lost there that had to go there first is not in it. A choice that moves is charged `commitment` times what
    it costs where it leads, for the rest the best that lies in its direction, and for moving at all
    (`switch_rate`, `switch_others`); heads are judged one at a time.

    A round at a rate that is far too high does damage that lasts when the rate is right again, so that no constant
    run tells it. Every choice of a rate is charged what one round of it at the start costs a run that has the tuned
    rate from then on, if that is more than the tuned one costs. The first rate of all, chosen before anything was
    measured, costs just that, and moving down is free. Moving up is charged `first_up`: the little there is to gain
    in one round is paid for many times over where the base is too high, and text that is far from all that a model
    has seen looks much the same from both.

    With an `anchor`, rates cost what their distance from the tuned one says, and not what hindsight does: the
    policy learns to see where it stands, to go back there and to stay. That is for labels, where constant runs at
    high rates are ahead by tens of per cent on one stream and behind on the next, while learners that were
    steered there had nothing of it (docs/LOG.md, 2026-11-28, "Labels").

    Skipping costs what training in the round would be worth (`worth_of_training`) and `skip` for the chance that it
    is worth more, training the price of a round's updates; NaN where its worth was not measured. Raises ValueError
    for a coding whose choices are not moves.
    """
    if coding not in RATE_MOVES:
        raise ValueError(
            f"hindsight tells the cost of moves: coding must be one of {', '.join(RATE_MOVES)}, not {coding!r}"
        )
    rates, batches, windows, starts = _ahead(runs, config.horizon)
    w = config.commitment
    rate = _moves(rates, RATE_OCTAVES, runs.octaves, RATE_MOVES[coding], w)
    batch = _moves(batches, np.arange(float(len(BATCH_SIZES))), runs.log_batch, STEPS, w)
    window = _moves(windows, np.arange(float(len(WINDOWS))), runs.window, STEPS, w)
    moves = np.array(RATE_MOVES[coding])
    rate += np.maximum(_starts(starts - starts[-1], runs.octaves, moves), 0.0)
    rate += config.switch_rate * (moves != 0)
    rate[:, 0] = _starts(starts, runs.octaves[:, 0], moves) + config.first_up * (moves > 0)
    if config.anchor is not None:
        rate = config.anchor * np.abs(runs.octaves[..., None] + moves) + config.switch_rate * (moves != 0)
    for table in (batch, window):
        table += config.switch_others * (np.array(STEPS) != 0)
    skip = config.skip + worth_of_training(
        runs, reference_running(runs), tuned=TUNED, never=_NEVER, horizon=config.horizon
    )
    train = np.broadcast_to((100.0 * runs.price * runs.share)[:, None], skip.shape)
    tables = [rate, batch, window, np.stack([skip, train], axis=-1)]
    return [table - table.min(axis=-1, keepdims=True) for table in tables]


def _ahead(runs: StreamRuns, horizon: int) -> tuple[Floats, ...]:
    """Mean loss ahead of each decision, per cent of the running loss, at every rung of each knob's ladder.

    Of rates, batch sizes and windows, shapes (rungs, T); and ahead of the first decision of each start and of the
    tuned rate, (starts + 1,). Rungs of batch size and window that were not run lie on the line between their
    neighbours.
    """
    counts = [len(RATE_OCTAVES), len(BATCHES), len(WINDOW_POSITIONS), 1, len(START_OCTAVES)]
    rounds, total = runs.loss.shape[1] - 1, sum(counts)
    sums = np.cumsum(np.concatenate([np.zeros((total, 1)), runs.loss[:total]], axis=1), axis=1)
    first = np.arange(1, rounds + 1)
    end = np.minimum(first + horizon, rounds + 1)
    ahead = 100.0 * (sums[:, end] - sums[:, first]) / (end - first) / reference_running(runs)[:-1]
    rates, batches, windows, _, starts = np.split(ahead, np.cumsum(counts)[:-1])
    own_batch, own_window = runs.log_batch[TUNED, -1], runs.window[TUNED, -1]  # the tuned run holds its own
    sizes = _between(batches, np.log2(BATCHES), own_batch, rates[TUNED], len(BATCH_SIZES))
    places = _between(windows, np.array(WINDOW_POSITIONS, float), own_window, rates[TUNED], len(WINDOWS))
    return rates, sizes, places, np.append(starts[:, 0], rates[TUNED, 0])


def _between(rows: Floats, places: Floats, own_place: float, own: Floats, rungs: int) -> Floats:
    """Costs on every rung of a ladder, from `rows` at `places` and the tuned run's `own`."""
    known = {**dict(zip(places.tolist(), rows, strict=True)), float(own_place): own}
    at = sorted(known)
    columns = np.stack([known[place] for place in at]).T
    return np.array([np.interp(np.arange(rungs), at, column) for column in columns]).T


def _starts(costs: Floats, at: Floats, moves: NDArray[np.int64]) -> Floats:
    """Costs of one round at the rates that moves lead to, shape (*at.shape, moves)."""
    octaves = np.append(START_OCTAVES, 0.0)
    order = np.argsort(octaves)
    found: Floats = np.interp(at[..., None] + moves, octaves[order], costs[order])
    return found


def reference_running(runs: StreamRuns) -> Floats:
    """The running loss of the tuned constant after each chunk, as rewards know it: shape (T + 1,)."""
    running, value = np.empty(runs.loss.shape[1]), 0.0
    for t, loss in enumerate(runs.loss[TUNED]):
        running[t] = value = float(running_mean(value, loss, t + 1))
    return running


def _moves(ladder: Floats, rungs: Floats, at: Floats, moves: tuple[int, ...], commitment: float) -> Floats:
    """Cost of moves from `at` (n, T) on a ladder of costs (rungs, T): shape (n, T, moves)."""
    costs = np.empty((*at.shape, len(moves)))
    for j, move in enumerate(moves):
        to = np.clip(at + move, rungs[0], rungs[-1])
        low = np.clip(np.floor(to - rungs[0]).astype(np.int64), 0, len(rungs) - 2)
        part = to - rungs[0] - low
        t = np.arange(at.shape[1])
        there = (1 - part) * ladder[low, t] + part * ladder[low + 1, t]
        beyond = there
        if move > 0:
            beyond = np.minimum(there, _best_from(ladder)[np.ceil(to - rungs[0]).astype(np.int64), t])
        elif move < 0:
            beyond = np.minimum(there, _best_to(ladder)[np.floor(to - rungs[0]).astype(np.int64), t])
        costs[..., j] = commitment * there + (1 - commitment) * beyond
    return costs


def _best_from(ladder: Floats) -> Floats:
    best: Floats = np.minimum.accumulate(ladder[::-1], axis=0)[::-1]
    return best


def _best_to(ladder: Floats) -> Floats:
    best: Floats = np.minimum.accumulate(ladder, axis=0)
    return best
