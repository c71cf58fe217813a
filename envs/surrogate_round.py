"""A round of a surrogate as one compiled story: what `OnlineLoop` with a quadratic learner does, for speed.

The words and the order are those of `olrl.loop`, `olrl.memory`, `olrl.learners.quadratic` and `olrl.monitor`, and
the numbers are theirs to rounding. numba's cache looks at this file alone: touch it after a change to a constant
that it imports.
"""

import math

import numpy as np
from numpy.typing import NDArray

from olrl.draws import GOLDEN
from olrl.learners.quadratic import BETA1, BETA2, EPS, LOST
from olrl.memory import MAX_WINDOW, RESERVOIR_STREAM

from .compiled import compiled, inlined
from .normal_rows import PLACES, TABLE
from .quadratic_problem import BUDGET, CHUNK, NOISE_STREAM, PROBES, RESERVOIR
from .surrogate_state import RING, ROW, Array, Ints, Learners, Memories, Streams, Surrogates

Examples = NDArray[np.float32]

_MOST_DRAWS = int(BUDGET)  # examples that a round can train on
_RESERVOIR_STREAM, _NOISE_STREAM = np.uint64(RESERVOIR_STREAM << 62), np.uint64(NOISE_STREAM << 62)
_LOSS, _STD, _GAP = ROW["loss_nats"], ROW["loss_std"], ROW["old_new_gap"]
_AGE, _UPDATES, _NONFINITE = ROW["gradient_age"], ROW["updates"], ROW["nonfinite"]
_TRAIN_LOSS, _NORM, _SNR = ROW["train_loss_nats"], ROW["grad_norm"], ROW["grad_snr"]
_COS, _RATIO = ROW["grad_cos"], ROW["update_ratio"]


@compiled
def play(state: Surrogates, which: Ints) -> None:
    """Train the surrogates in `which` on their chunks, under the decisions in force, and observe the next ones."""
    slots, losses, scratch = np.empty(_MOST_DRAWS, dtype=np.int64), np.empty(CHUNK + PROBES), _scratch(state)
    for i in which:
        _train(state, i, slots, scratch)
        state.t[i] += 1
        _observe(state, i, losses, scratch)


@compiled
def begin(state: Surrogates, which: Ints) -> None:
    """Observe the first chunks of new problems."""
    losses, scratch = np.empty(CHUNK + PROBES), _scratch(state)
    for i in which:
        _observe(state, i, losses, scratch)


@inlined
def _scratch(state: Surrogates) -> Array:
    """Vectors to compute with: memory is dear to ask for in a loop."""
    return np.empty((6, state.learners.parameters.shape[1]))


@inlined
def _observe(state: Surrogates, i: int, losses: Array, scratch: Array) -> None:
    """Score the next chunk, under the learner and its reference, and measure."""
    streams, memories, learners = state.streams, state.memories, state.learners
    chunk = _chunk_of(streams, i)
    _draw_chunk(streams, i, state.t[i], chunk, scratch[0])
    _score(learners, i, chunk, losses[:CHUNK])
    probes = memories.chunks[i] > 0
    if probes:
        oldest = _oldest(memories, i, learners.window[i])
        _score(learners, i, _held(memories, i)[oldest : oldest + PROBES], losses[CHUNK:])
    _measure(state.signals, i, losses[:CHUNK], losses[CHUNK:], probes)
    _score(learners, len(state.t) + i, chunk, losses[:CHUNK])
    state.reference_nats[i] = losses[:CHUNK].mean()


@inlined
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


@inlined
def _train(state: Surrogates, i: int, slots: Ints, scratch: Array) -> None:
    """Remember the chunk observed last, and take all steps of the learner and of its reference."""
    streams, memories, learners, signals = state.streams, state.memories, state.learners, state.signals
    _remember(memories, i, _chunk_of(streams, i))
    key = _key(memories.seed[i], np.uint64(state.t[i]))
    held = _held(memories, i)
    signals[_UPDATES, i] = 0.0
    signals[_AGE, i] += 1.0  # NaN stays: no gradient has been seen
    for who in (i, len(state.t) + i):
        count = learners.steps[who] * learners.batch_size[who]
        if count == 0:
            continue
        _draw(memories, i, learners.window[who], key, slots[:count])
        report = update(learners, who, held, slots[:count], scratch)
        if who == i:
            updates, nonfinite, train_loss, norm, snr, cos, ratio = report
            signals[_UPDATES, i] = updates
            signals[_NONFINITE, i] += nonfinite
            if updates:
                signals[_AGE, i], signals[_TRAIN_LOSS, i], signals[_NORM, i] = 0.0, train_loss, norm
                signals[_SNR, i], signals[_COS, i], signals[_RATIO, i] = snr, cos, ratio


# The stream, as `QuadraticProblem.examples` --------------------------------------------------------------------


@inlined
def _chunk_of(streams: Streams, i: int) -> Examples:
    width = streams.width[i]
    chunk: Examples = streams.chunk[i][: CHUNK * width].reshape((CHUNK, width))
    return chunk


@inlined
def _draw_chunk(streams: Streams, i: int, t: int, chunk: Examples, centre: Array) -> None:
    """Targets and floors of chunk t."""
    d = chunk.shape[1] - 1
    key = _key(streams.seed[i], _NOISE_STREAM | np.uint64(t))
    std = streams.noise_std[i, t]
    optimum, root, size = streams.optima[i, t], streams.inverse_root[i], streams.size[i]
    last = -1
    for e in range(CHUNK):
        number = streams.number[i, t, e]
        if number != last:
            first, second = streams.places[i, number, 0], streams.places[i, number, 1]
            a, b = TABLE[0][first : first + d], TABLE[1][second : second + d]
            for j in range(d):
                centre[j] = optimum[j] + size[j] * (np.float64(a[j]) + np.float64(b[j]))
            last = number
        place = int(_uniform(key, e) * PLACES**2)
        first, second = place // PLACES, place % PLACES
        a, b = TABLE[0][first : first + d + 1], TABLE[1][second : second + d + 1]
        row = chunk[e]
        for j in range(d):
            row[j] = (np.float64(a[j]) + np.float64(b[j])) * (std * root[j]) + centre[j]
        log_floor = (np.float64(a[d]) + np.float64(b[d])) * streams.spread[i, number]
        log_floor += streams.document_log_floor[i, number] + streams.log_floor[i, t]
        row[d] = streams.floor[i] * math.exp(log_floor)


# The memory, as `Memory` ---------------------------------------------------------------------------------------


@inlined
def _held(memories: Memories, i: int) -> Examples:
    """All examples in a memory, shape (slots, d + 1)."""
    width = memories.width[i]
    held: Examples = memories.examples[i][: (RING + RESERVOIR) * width].reshape((RING + RESERVOIR, width))
    return held


@inlined
def _remember(memories: Memories, i: int, chunk: Examples) -> None:
    held, chunks = _held(memories, i), memories.chunks[i]
    ring = chunks % MAX_WINDOW * CHUNK
    key = _key(memories.seed[i], _RESERVOIR_STREAM)
    for e in range(CHUNK):
        number = chunks * CHUNK + e
        slot = number if number < RESERVOIR else int(_uniform(key, number) * (number + 1))
        for j in range(chunk.shape[1]):
            held[ring + e, j] = chunk[e, j]
        if slot < RESERVOIR:
            for j in range(chunk.shape[1]):
                held[RING + slot, j] = chunk[e, j]
    memories.chunks[i] = chunks + 1


@inlined
def _draw(memories: Memories, i: int, window: int, key: np.uint64, slots: Ints) -> None:
    """Where the first examples of a round's draws are held."""
    seen = memories.chunks[i]
    if window == 0:
        size = min(seen * CHUNK, RESERVOIR)
        for k in range(len(slots)):
            slots[k] = RING + int(_uniform(key, k) * size)
        return
    size = min(window, seen, MAX_WINDOW) * CHUNK
    for k in range(len(slots)):
        back = int(_uniform(key, k) * size)
        slots[k] = (seen - 1 - back // CHUNK) % MAX_WINDOW * CHUNK + back % CHUNK


@inlined
def _oldest(memories: Memories, i: int, window: int) -> int:
    """Where the oldest chunk of a window begins; for the reservoir its first example."""
    seen = memories.chunks[i]
    return RING if window == 0 else (seen - min(window, seen, MAX_WINDOW)) % MAX_WINDOW * CHUNK


# The learner, as `QuadraticLearner` ----------------------------------------------------------------------------


@inlined
def _score(learners: Learners, i: int, examples: Examples, losses: Array) -> None:
    """Loss of each example; infinite when lost."""
    d = learners.dimension[i]
    parameters, h = learners.parameters[i], learners.curvature[i]
    for e in range(len(examples)):
        row, total = examples[e], 0.0
        for j in range(d):
            error = parameters[j] - row[j]
            total += h[j] * error * error
        loss = row[d] + 0.5 * total
        losses[e] = loss if loss < LOST else np.inf


@compiled
def update(
    learners: Learners, i: int, held: Examples, slots: Ints, scratch: Array
) -> tuple[int, int, float, float, float, float, float]:
    """One step for each batch of the examples drawn; a step that is not finite is not taken.

    Returns the fields of `UpdateReport`: updates, nonfinite, train_loss_nats, grad_norm, grad_snr, grad_cos and
    update_ratio, NaN where missing.
    """
    d, size, sgd, lr = learners.dimension[i], learners.batch_size[i], learners.sgd[i], learners.lr[i]
    parameters, h = learners.parameters[i], learners.curvature[i]
    moments1, moments2 = learners.first[i], learners.second[i]
    power1, power2 = learners.powers[i]
    start, gradient, earlier = scratch[0][:d], scratch[1][:d], scratch[2][:d]
    total, square, half = scratch[3][:d], scratch[4][:d], scratch[5][:d]
    share, bulk_noise = 1.0 / size, learners.bulk_noise[i]
    middle, taken, nonfinite, losses = size // 2, 0, 0, 0.0
    norm, snr, cos, of_bulk = np.nan, np.nan, np.nan, 0.0
    for j in range(d):
        start[j] = parameters[j]
    for first in range(0, len(slots), size):
        floor = 0.0
        for j in range(d):
            total[j] = square[j] = 0.0
        for e in range(size):
            if e == middle and taken == 0:
                for j in range(d):
                    half[j] = total[j]
            row = held[slots[first + e]]
            for j in range(d):
                error = parameters[j] - row[j]
                total[j] += error
                square[j] += error * error
            floor += row[d]
        loss, length = 0.0, 0.0
        for j in range(d):
            gradient[j] = h[j] * total[j] * share
            loss += h[j] * square[j]
            length += gradient[j] * gradient[j]
        loss = (floor + 0.5 * loss) * share
        bulk = bulk_noise * (floor * share) ** 2
        length = math.sqrt(length + bulk * share)
        if not (loss < LOST and length < np.inf):
            nonfinite += 1
            continue
        if taken == 0:
            norm, of_bulk, cos = length, bulk, _cosine(learners, i, gradient, length)
            if size > 1:
                for j in range(d):
                    half[j], total[j] = h[j] * half[j] / middle, h[j] * (total[j] - half[j]) / (size - middle)
                snr = _snr(half, total, 1.0 / middle + 1.0 / (size - middle), bulk)
            for j in range(d):
                earlier[j] = gradient[j]
        elif taken == 1 and size == 1:
            snr = _snr(earlier, gradient, 2.0, of_bulk)
        losses += loss
        taken += 1
        if sgd:
            for j in range(d):
                parameters[j] -= lr * gradient[j]
        else:
            power1 *= BETA1
            power2 *= BETA2
            _step(parameters, moments1, moments2, gradient, lr / (1.0 - power1), 1.0 / (1.0 - power2))
    train_loss, ratio = np.nan, np.nan
    learners.powers[i, 0], learners.powers[i, 1] = power1, power2
    if taken:
        move, length, weights = learners.last_move[i], 0.0, 0.0
        for j in range(d):
            move[j] = parameters[j] - start[j]
            length += move[j] * move[j]
            weights += start[j] * start[j]
        learners.moved[i] = True
        learners.last_bulk[i] = _moved(learners, i, taken, of_bulk / size)
        if weights > 0:
            ratio = math.sqrt((length + learners.last_bulk[i]) / weights)
        train_loss = losses / taken
    return taken, nonfinite, train_loss, norm, snr, cos, ratio


@inlined
def _step(parameters: Array, first: Array, second: Array, gradient: Array, lr: float, unbias: float) -> None:
    """A step of AdamW without weight decay; `lr` and `unbias` hold the corrections for the zeros at the start."""
    for j in range(len(gradient)):
        first[j] = BETA1 * first[j] + (1 - BETA1) * gradient[j]
        second[j] = BETA2 * second[j] + (1 - BETA2) * gradient[j] * gradient[j]
        parameters[j] -= lr * first[j] / (math.sqrt(second[j] * unbias) + EPS)


@inlined
def _moved(learners: Learners, i: int, steps: int, gradient: float) -> float:
    """Squared norm of a round's move in the bulk: `Bulk.moved`."""
    moved: float = learners.lr[i] ** 2 * steps
    if learners.sgd[i]:
        moved *= gradient
    else:
        moved *= learners.bulk_size[i] * min(1.0, steps * (1 - BETA1) / (1 + BETA1))
    return moved


@inlined
def _cosine(learners: Learners, i: int, gradient: Array, norm: float) -> float:
    """Cosine of minus the gradient with the last move; NaN without one."""
    if not learners.moved[i]:
        return np.nan
    move, along, length = learners.last_move[i], 0.0, learners.last_bulk[i]
    for j in range(len(gradient)):
        along += gradient[j] * move[j]
        length += move[j] * move[j]
    length = math.sqrt(length) * norm
    return -along / length if length > 0 else np.nan


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
