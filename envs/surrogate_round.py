"""A round of a surrogate as one compiled story: what `OnlineLoop` with a quadratic learner does, for speed.

The words and the order are those of `olrl.loop`, `olrl.memory`, `olrl.learners.quadratic` and `olrl.monitor`, and
the numbers are theirs to rounding.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.draws import GOLDEN
from olrl.learners.compiled import inlined
from olrl.learners.quadratic import BETA1, BETA2, EPS, LOST
from olrl.memory import MAX_WINDOW, RESERVOIR_STREAM

from .compiled import compiled
from .normal_rows import PLACES
from .quadratic_problem import BUDGET, CHUNK, NOISE_STREAM, PROBES, RESERVOIR
from .surrogate_state import (
    CURVATURE,
    FIRST,
    LAST_MOVE,
    PARAMETERS,
    RING,
    ROW,
    SECOND,
    Array,
    Ints,
    Surrogates,
)

Examples = NDArray[np.float32]
# An `UpdateReport`: updates, nonfinite, train_loss_nats, grad_norm, grad_snr, grad_cos, update_ratio; or NaN.
Report = tuple[int, int, float, float, float, float, float]

_MOST_DRAWS = int(BUDGET)  # examples that a round can train on
_RESERVOIR_STREAM, _NOISE_STREAM = np.uint64(RESERVOIR_STREAM << 62), np.uint64(NOISE_STREAM << 62)
_LOSS, _STD, _GAP = ROW["loss_nats"], ROW["loss_std"], ROW["old_new_gap"]
_AGE, _UPDATES, _NONFINITE = ROW["gradient_age"], ROW["updates"], ROW["nonfinite"]
_TRAIN_LOSS, _NORM, _SNR = ROW["train_loss_nats"], ROW["grad_norm"], ROW["grad_snr"]
_COS, _RATIO = ROW["grad_cos"], ROW["update_ratio"]


@compiled
def play(state: Surrogates, which: Ints) -> None:
    """Train the surrogates in `which` on their chunks, under the decisions in force, and observe the next ones."""
    scratch = np.empty((6, state.vectors.shape[2]))  # memory is dear to ask for in a loop
    slots, losses = np.empty(_MOST_DRAWS, dtype=np.int64), np.empty(CHUNK + PROBES)
    for i in which:
        _train(state, i, slots, scratch)
        state.tasks[i].t += 1
        _observe(state, i, losses, scratch)


@compiled
def begin(state: Surrogates, which: Ints) -> None:
    """Observe the first chunks of new problems."""
    scratch, losses = np.empty((6, state.vectors.shape[2])), np.empty(CHUNK + PROBES)
    for i in which:
        _observe(state, i, losses, scratch)


@inlined
def _observe(state: Surrogates, i: int, losses: Array, scratch: Array) -> None:
    """Score the next chunk, under the learner and its reference, and measure."""
    task, n, width = state.tasks[i], len(state.tasks), state.tasks[i].width
    chunk = _rows(state.chunk[i], CHUNK, width)
    documents = state.number[i, task.t], state.places[i], state.floors[i]
    where = state.optima[i, task.t], state.rounds[i, task.t], documents, state.scales[i]
    _draw_chunk(task, *where, state.table, chunk, scratch[0])
    _score(state.vectors[i], chunk, losses[:CHUNK])
    if task.chunks:
        oldest = _oldest(task.chunks, state.learners[i].window)
        held = _rows(state.held[i], RING + RESERVOIR, width)
        _score(state.vectors[i], held[oldest : oldest + PROBES], losses[CHUNK:])
    _measure(state.signals, i, losses[:CHUNK], losses[CHUNK:], task.chunks > 0)
    _score(state.vectors[n + i], chunk, losses[:CHUNK])
    task.reference_nats = losses[:CHUNK].mean()


@inlined
def _train(state: Surrogates, i: int, slots: Ints, scratch: Array) -> None:
    """Remember the chunk observed last, and take all steps of the learner and of its reference."""
    task, signals, n, width = state.tasks[i], state.signals, len(state.tasks), state.tasks[i].width
    held = _rows(state.held[i], RING + RESERVOIR, width)
    _remember(task, held, _rows(state.chunk[i], CHUNK, width))
    key = _key(task.seed, np.uint64(task.t))
    signals[_UPDATES, i] = 0.0
    signals[_AGE, i] += 1.0  # NaN stays: no gradient has been seen
    learner, reference = state.learners[i], state.learners[n + i]
    if learner.steps:
        drawn = slots[: learner.steps * learner.batch_size]
        _draw(task.chunks, learner.window, key, drawn)
        _report(signals, i, update(learner, state.vectors[i], held, drawn, scratch))
    drawn = slots[: reference.steps * reference.batch_size]
    _draw(task.chunks, reference.window, key, drawn)
    update(reference, state.vectors[n + i], held, drawn, scratch)


@compiled
def _rows(packed: Examples, count: int, width: int) -> Examples:
    """Examples that lie one behind the other, shape (count, width)."""
    rows: Examples = packed[: count * width].reshape((count, width))
    return rows


@compiled
def _measure(signals: Array, i: int, new: Array, old: Array, probes: bool) -> None:
    """Signals of the losses on a new chunk and on probes."""
    loss = new.mean()
    if not math.isfinite(loss):
        signals[_LOSS, i] = signals[_STD, i] = signals[_GAP, i] = np.nan
        signals[_NONFINITE, i] += 1
        return
    gap = old.mean() - loss
    signals[_LOSS, i], signals[_STD, i] = loss, new.std()
    signals[_GAP, i] = gap if probes and math.isfinite(gap) else np.nan


@compiled
def _report(signals: Array, i: int, report: Report) -> None:
    """Signals of a round's training."""
    updates, nonfinite, train_loss, norm, snr, cos, ratio = report
    signals[_UPDATES, i] = updates
    signals[_NONFINITE, i] += nonfinite
    if updates:
        signals[_AGE, i], signals[_TRAIN_LOSS, i], signals[_NORM, i] = 0.0, train_loss, norm
        signals[_SNR, i], signals[_COS, i], signals[_RATIO, i] = snr, cos, ratio


# The stream, as `QuadraticProblem.examples` --------------------------------------------------------------------


@compiled
def _draw_chunk(
    task: Any,
    optimum: Array,
    round_: Array,
    documents: tuple[NDArray[np.int32], NDArray[np.int32], Array],
    scales: Array,
    table: NDArray[np.float32],
    chunk: Examples,
    centre: Array,
) -> None:
    """Targets and floors of a task's next chunk; `centre` is a vector to compute with."""
    d = chunk.shape[1] - 1
    std, log_floor = round_
    number, places, floors = documents
    size, inverse_root = scales[0], scales[1]
    key = _key(task.seed, _NOISE_STREAM | np.uint64(task.t))
    last = -1
    for e in range(CHUNK):
        if number[e] != last:
            last = number[e]
            _normal_row(table, places[last, 0], places[last, 1], centre[:d])
            for j in range(d):
                centre[j] = optimum[j] + size[j] * centre[j]
        place = int(_uniform(key, e) * PLACES**2)
        first, second = table[0][place // PLACES :], table[1][place % PLACES :]
        row = chunk[e]
        for j in range(d):
            row[j] = (np.float64(first[j]) + np.float64(second[j])) * (std * inverse_root[j]) + centre[j]
        own = (np.float64(first[d]) + np.float64(second[d])) * floors[last, 1] + floors[last, 0]
        row[d] = task.floor * math.exp(own + log_floor)


@compiled
def _normal_row(table: NDArray[np.float32], first: int, second: int, row: Array) -> None:
    for j in range(len(row)):
        row[j] = np.float64(table[0, first + j]) + np.float64(table[1, second + j])


# The memory, as `Memory` ---------------------------------------------------------------------------------------


@compiled
def _remember(task: Any, held: Examples, chunk: Examples) -> None:
    ring = task.chunks % MAX_WINDOW * CHUNK
    key = _key(task.seed, _RESERVOIR_STREAM)
    for e in range(CHUNK):
        number = task.chunks * CHUNK + e
        slot = number if number < RESERVOIR else int(_uniform(key, number) * (number + 1))
        _copy(chunk[e], held[ring + e])
        if slot < RESERVOIR:
            _copy(chunk[e], held[RING + slot])
    task.chunks += 1


@compiled
def _draw(chunks: int, window: int, key: np.uint64, slots: Ints) -> None:
    """Where the first examples of a round's draws are held, of so many chunks seen."""
    if window == 0:
        size = min(chunks * CHUNK, RESERVOIR)
        for k in range(len(slots)):
            slots[k] = RING + int(_uniform(key, k) * size)
        return
    size = min(window, chunks, MAX_WINDOW) * CHUNK
    for k in range(len(slots)):
        back = int(_uniform(key, k) * size)
        slots[k] = (chunks - 1 - back // CHUNK) % MAX_WINDOW * CHUNK + back % CHUNK


@compiled
def _oldest(chunks: int, window: int) -> int:
    """Where the oldest chunk of a window begins; for the reservoir its first example."""
    return RING if window == 0 else (chunks - min(window, chunks, MAX_WINDOW)) % MAX_WINDOW * CHUNK


# The learner, as `QuadraticLearner` ----------------------------------------------------------------------------


@compiled
def _score(vectors: Array, examples: Examples, losses: Array) -> None:
    """Loss of each example; infinite when lost."""
    parameters, h, d = vectors[PARAMETERS], vectors[CURVATURE], examples.shape[1] - 1
    for e in range(len(examples)):
        row, total = examples[e], 0.0
        for j in range(d):
            error = parameters[j] - row[j]
            total += h[j] * error * error
        loss = row[d] + 0.5 * total
        losses[e] = loss if loss < LOST else np.inf


@compiled
def update(me: Any, vectors: Array, held: Examples, slots: Ints, scratch: Array) -> Report:
    """One step for each batch of the examples drawn; a step that is not finite is not taken.

    `me` is a record of LEARNER, and `scratch`, shape (6, D), something to compute with.
    """
    d, size, share = me.dimension, me.batch_size, 1.0 / me.batch_size
    parameters, h, moments1, moments2 = (
        vectors[PARAMETERS],
        vectors[CURVATURE],
        vectors[FIRST],
        vectors[SECOND],
    )
    last_move = vectors[LAST_MOVE]
    start, gradient, earlier = scratch[0][:d], scratch[1][:d], scratch[2][:d]
    total, square, half = scratch[3][:d], scratch[4][:d], scratch[5][:d]
    taken, nonfinite, losses = 0, 0, 0.0
    norm, snr, cos, of_bulk = np.nan, np.nan, np.nan, 0.0
    _copy(parameters, start)
    for first in range(0, len(slots), size):
        floor = _add_up(parameters, held, slots[first : first + size], total, square, half) * share
        loss, length = _slope(h, total, square, share, gradient)
        loss += floor
        bulk = me.bulk_noise * floor**2
        length = math.sqrt(length + bulk * share)
        if not (loss < LOST and length < np.inf):
            nonfinite += 1
            continue
        if taken == 0:
            norm, of_bulk, cos = length, bulk, _cosine(me, last_move, gradient, length)
            snr = _snr_of_halves(h, total, half, size, bulk) if size > 1 else np.nan
            _copy(gradient, earlier)
        elif taken == 1 and size == 1:
            snr = _snr(earlier, gradient, 2.0, of_bulk)
        losses += loss
        taken += 1
        if me.sgd:
            _sgd(parameters, gradient, me.lr)
        else:
            me.power1 *= BETA1
            me.power2 *= BETA2
            lr, unbias = me.lr / (1.0 - me.power1), 1.0 / (1.0 - me.power2)
            _adamw(parameters, moments1, moments2, gradient, lr, unbias)
    train_loss, ratio = np.nan, np.nan
    if taken:
        length, weights = _finish(start, parameters, last_move)
        me.moved, me.last_bulk = True, _moved(me, taken, of_bulk * share)
        ratio = math.sqrt((length + me.last_bulk) / weights) if weights > 0 else np.nan
        train_loss = losses / taken
    return taken, nonfinite, train_loss, norm, snr, cos, ratio


# Loops over vectors are functions of their own, and take nothing but vectors: so numba need not count references.


@compiled
def _copy(vector: NDArray[Any], into: NDArray[Any]) -> None:
    for j in range(len(into)):
        into[j] = vector[j]


@compiled
def _add_up(
    parameters: Array, held: Examples, batch: Ints, total: Array, square: Array, half: Array
) -> float:
    """Sums over a batch of the distances from its targets, of their squares, and of the floors, which is returned.

    `half` is the sum of the distances over the first half.
    """
    d, floor = len(total), 0.0
    for j in range(d):
        total[j] = square[j] = 0.0
    for e in range(len(batch)):
        if e == len(batch) // 2:
            for j in range(d):
                half[j] = total[j]
        row = held[batch[e]]
        for j in range(d):
            error = parameters[j] - row[j]
            total[j] += error
            square[j] += error * error
        floor += row[d]
    return floor


@compiled
def _slope(h: Array, total: Array, square: Array, share: float, gradient: Array) -> tuple[float, float]:
    """The mean gradient of a batch; returns the learnable part of its loss, and the gradient's squared norm."""
    loss, length = 0.0, 0.0
    for j in range(len(gradient)):
        gradient[j] = h[j] * (share * total[j])
        loss += h[j] * square[j]
        length += gradient[j] * gradient[j]
    return 0.5 * share * loss, length


@compiled
def _sgd(parameters: Array, gradient: Array, lr: float) -> None:
    for j in range(len(gradient)):
        parameters[j] -= lr * gradient[j]


@compiled
def _adamw(parameters: Array, first: Array, second: Array, gradient: Array, lr: float, unbias: float) -> None:
    """A step without weight decay; `lr` and `unbias` hold the corrections for the zeros at the start."""
    for j in range(len(gradient)):
        first[j] = BETA1 * first[j] + (1 - BETA1) * gradient[j]
        second[j] = BETA2 * second[j] + (1 - BETA2) * gradient[j] * gradient[j]
        parameters[j] -= lr * first[j] / (math.sqrt(second[j] * unbias) + EPS)


@compiled
def _finish(start: Array, parameters: Array, move: Array) -> tuple[float, float]:
    """The round's move; returns the squared norms of it and of where it started."""
    length, weights = 0.0, 0.0
    for j in range(len(start)):
        move[j] = parameters[j] - start[j]
        length += move[j] * move[j]
        weights += start[j] * start[j]
    return length, weights


@compiled
def _moved(me: Any, steps: int, gradient: float) -> float:
    """Squared norm of a round's move in the bulk: `Bulk.moved`."""
    moved: float = me.lr**2 * steps
    return moved * (gradient if me.sgd else me.bulk_size * min(1.0, steps * (1 - BETA1) / (1 + BETA1)))


@compiled
def _cosine(me: Any, move: Array, gradient: Array, norm: float) -> float:
    """Cosine of minus the gradient with the last move; NaN without one."""
    along, length = 0.0, me.last_bulk
    for j in range(len(gradient)):
        along += gradient[j] * move[j]
        length += move[j] * move[j]
    length = math.sqrt(length) * norm
    return -along / length if me.moved and length > 0 else np.nan


@compiled
def _snr_of_halves(h: Array, total: Array, half: Array, size: int, bulk: float) -> float:
    """The same of a batch's two halves, from sums of distances, which are used up."""
    middle = size // 2
    for j in range(len(half)):
        a, b = half[j] / middle, (total[j] - half[j]) / (size - middle)
        half[j], total[j] = h[j] * a, h[j] * b
    return _snr(half, total, 1.0 / middle + 1.0 / (size - middle), bulk)


@compiled
def _snr(a: Array, b: Array, weights: float, bulk: float) -> float:
    """Squared norm of the mean gradient over the variance of one example's; NaN without noise."""
    signal, noise = 0.0, 0.0
    for j in range(len(a)):
        signal += a[j] * b[j]
        noise += (a[j] - b[j]) ** 2
    return signal / (noise / weights + bulk) if noise > 0 else np.nan


# Keyed draws, as `olrl.draws.uniforms` -------------------------------------------------------------------------


@compiled
def _key(seed: np.uint64, round_: np.uint64) -> np.uint64:
    return _mixed(_mixed(seed * GOLDEN + GOLDEN) + round_ * GOLDEN)


@compiled
def _uniform(key: np.uint64, index: int) -> float:
    return np.int64(_mixed(key + np.uint64(index) * GOLDEN) >> np.uint64(11)) * 2.0**-53


@compiled
def _mixed(z: np.uint64) -> np.uint64:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
