"""Loops compiled for the CPU: the log-bilinear model and its gradient, AdamW, and a whole round of both.

All in one file, since numba tells by a file's age whether what it compiled of it before is still true, and
forgets to ask about files that this one calls.

Tokens are taken 64 at a time, and all that is known of them lies in a few kilobytes as tiles (16, 64): a
number's values for 64 tokens are neighbours, so that loops over tokens are loops over vectors.
"""

import math

import numpy as np
from numpy.typing import NDArray

from olrl.learners.compiled import add_16, compiled, inlined

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
Tokens = Ints  # a sequence, (L + 1,)
Tile = Floats

_N = 16  # nibbles, and numbers of a context vector
_V = _N * _N
_TILE = 64  # tokens
_BLOCK = 128  # weights that AdamW looks at together
_H, _GATED, _HIGH, _LOW, _D_H, _D_GATED, _ROWS, _SMALL = range(8)  # tiles
_LARGEST, _HIGH_SUM, _LOW_SUM, _POWER = range(4)  # rows of the last

# e^r on |r| <= ln 2 / 2, from the Cephes library's expf.
_LOG2_E, _LN_2 = np.float32(1.44269504), np.float32(0.693147181)
_E2, _E3, _E4 = np.float32(0.5), np.float32(1.6666665459e-1), np.float32(4.1665795894e-2)
_E5, _E6, _E7 = np.float32(8.3334519073e-3), np.float32(1.3981999507e-3), np.float32(1.9875691500e-4)
_LEAST = np.float32(-87.0)  # below, e^x is no normal number
_HALF, _ONE, _ZERO = np.float32(0.5), np.float32(1.0), np.float32(0.0)


@inlined
def _exponentials(x: Tile, largest: Floats, sums: Floats, power: Floats, m: int) -> None:
    """Replace m tokens' logits by their exponentials over the largest. NaN stays NaN.

    e^x = 2^k e^r, where the power of two is put together from its bits.
    """
    bits = power.view(np.int32)
    for t in range(m):
        largest[t], sums[t] = x[0, t], _ZERO
    for v in range(1, _N):
        for t in range(m):
            largest[t] = max(largest[t], x[v, t])
    for v in range(_N):
        for t in range(m):
            y = x[v, t] - largest[t]
            y = _LEAST if y < _LEAST else y
            k = np.int32((y if y > _LEAST else _LEAST) * _LOG2_E - _HALF)  # rounds: y is not positive
            r = y - np.float32(k) * _LN_2
            tail = _E2 + r * (_E3 + r * (_E4 + r * (_E5 + r * (_E6 + r * _E7))))
            x[v, t] = _ONE + (r + r * r * tail)
            bits[t] = (k + np.int32(127)) << np.int32(23)
        for t in range(m):
            e = x[v, t] * power[t]
            x[v, t] = e
            sums[t] += e


@inlined
def _add_products(out: Tile, weights: Floats, start: int, by: int, step: int, x: Tile, m: int) -> None:
    """Add Σ_d weights[start + by v + step d] · x[d] to out[v], for m tokens."""
    for v in range(_N):
        for d in range(0, _N, 4):
            w = start + by * v + step * d
            w0, w1, w2, w3 = weights[w], weights[w + step], weights[w + 2 * step], weights[w + 3 * step]
            for t in range(m):
                out[v, t] += w0 * x[d, t] + w1 * x[d + 1, t] + w2 * x[d + 2, t] + w3 * x[d + 3, t]


@inlined
def _add_outer_products(a: Tile, b: Tile, m: int, gradients: Floats, start: int) -> None:
    """Add Σ_t a[v, t] b[d, t] to gradients[start + 16 v + d]."""
    for v in range(_N):
        for d in range(0, _N, 4):
            s0, s1, s2, s3 = _ZERO, _ZERO, _ZERO, _ZERO
            for t in range(m):
                s0 += a[v, t] * b[d, t]
                s1 += a[v, t] * b[d + 1, t]
                s2 += a[v, t] * b[d + 2, t]
                s3 += a[v, t] * b[d + 3, t]
            g = start + _N * v + d
            gradients[g] += s0
            gradients[g + 1] += s1
            gradients[g + 2] += s2
            gradients[g + 3] += s3


@inlined
def _forward(weights: Floats, tokens: Tokens, context: int, first: int, tiles: Floats) -> float:
    """Sum of the losses of up to 64 tokens behind place `first` of a sequence."""
    h, gated, high, low = tiles[_H], tiles[_GATED], tiles[_HIGH], tiles[_LOW]
    largest, power = tiles[_SMALL, _LARGEST], tiles[_SMALL, _POWER]
    rows = tiles[_ROWS].reshape(_TILE * _N)  # of context vectors, a token's numbers side by side
    m = min(_TILE, tokens.shape[0] - 1 - first)
    of_high = context * _V * _N
    of_gate, of_low, low_bias, high_bias = of_high + _V, of_high + 2 * _V, of_high + 3 * _V, of_high + 4 * _V
    rows[:] = _ZERO
    for j in range(context):
        for t in range(m):
            place = first + t + 1 - context + j
            add_16(rows, t * _N, weights, (j * _V + (tokens[place] if place >= 0 else 0)) * _N)
    for t in range(m):
        nibble = _N * (tokens[first + t + 1] >> 4)
        for d in range(_N):
            h[d, t] = rows[t * _N + d]
            gated[d, t] = rows[t * _N + d] * weights[of_gate + nibble + d]
            low[d, t] = weights[low_bias + nibble + d]
    for v in range(_N):
        bias = weights[high_bias + v]
        for t in range(m):
            high[v, t] = bias
    _add_products(high, weights, of_high, _N, 1, h, m)
    _add_products(low, weights, of_low, _N, 1, gated, m)
    total = 0.0
    for t in range(m):
        target = tokens[first + t + 1]
        total -= high[target >> 4, t] + low[target & 15, t]
    product = 1.0  # of all sums, each at most 16: below 2^512
    for logits, place in ((high, _HIGH_SUM), (low, _LOW_SUM)):
        sums = tiles[_SMALL, place]
        _exponentials(logits, largest, sums, power, m)
        for t in range(m):
            total += largest[t]
            product *= sums[t]
    loss: float = total + math.log(product)
    return loss


@inlined
def _divide(x: Tile, sums: Floats, each: np.float32, m: int) -> None:
    """Turn exponentials into probabilities, times `each`."""
    for t in range(m):
        sums[t] = each / sums[t]
    for v in range(_N):
        for t in range(m):
            x[v, t] *= sums[t]


@inlined
def _backward(
    weights: Floats,
    tokens: Tokens,
    context: int,
    first: int,
    each: np.float32,
    tiles: Floats,
    gradients: Floats,
) -> None:
    """Add `each` times the gradient of the losses that `_forward` has just computed."""
    h, gated, high, low = tiles[_H], tiles[_GATED], tiles[_HIGH], tiles[_LOW]
    d_h, d_gated = tiles[_D_H], tiles[_D_GATED]
    rows = tiles[_ROWS].reshape(_TILE * _N)
    of_gates, of_lows = tiles[_GATED].reshape(_TILE * _N), tiles[_HIGH].reshape(_TILE * _N)
    m = min(_TILE, tokens.shape[0] - 1 - first)
    of_high = context * _V * _N
    of_gate, of_low, low_bias, high_bias = of_high + _V, of_high + 2 * _V, of_high + 3 * _V, of_high + 4 * _V
    _divide(high, tiles[_SMALL, _HIGH_SUM], each, m)
    _divide(low, tiles[_SMALL, _LOW_SUM], each, m)
    for t in range(m):
        target = tokens[first + t + 1]
        high[target >> 4, t] -= each
        low[target & 15, t] -= each
    _add_outer_products(high, h, m, gradients, of_high)
    _add_outer_products(low, gated, m, gradients, of_low)
    for v in range(_N):
        total = _ZERO
        for t in range(m):
            total += high[v, t]
        gradients[high_bias + v] += total
        for t in range(m):
            d_h[v, t], d_gated[v, t] = _ZERO, _ZERO
    _add_products(d_gated, weights, of_low, 1, _N, low, m)
    _add_products(d_h, weights, of_high, 1, _N, high, m)
    for t in range(m):
        nibble = _N * (tokens[first + t + 1] >> 4)
        for d in range(_N):
            rows[t * _N + d] = d_h[d, t] + d_gated[d, t] * weights[of_gate + nibble + d]
            of_gates[t * _N + d] = d_gated[d, t] * h[d, t]
            of_lows[t * _N + d] = low[d, t]
    for t in range(m):
        nibble = _N * (tokens[first + t + 1] >> 4)
        add_16(gradients, of_gate + nibble, of_gates, t * _N)
        add_16(gradients, low_bias + nibble, of_lows, t * _N)
    for j in range(context):
        for t in range(m):
            place = first + t + 1 - context + j
            add_16(gradients, (j * _V + (tokens[place] if place >= 0 else 0)) * _N, rows, t * _N)


@inlined
def _add_sequence(
    weights: Floats, sequence: Tokens, context: int, scale: float, tiles: Floats, gradients: Floats
) -> float:
    """Loss of a sequence (L + 1,) of one learner; `scale` times its gradient is added to `gradients` (P,)."""
    length = sequence.shape[0] - 1
    each = np.float32(scale / length)
    total = 0.0
    for first in range(0, length, _TILE):
        total += _forward(weights, sequence, context, first, tiles)
        if each != _ZERO:
            _backward(weights, sequence, context, first, each, tiles, gradients)
    loss: float = total / length
    return loss


@inlined
def _tiles() -> Floats:
    return np.empty((_SMALL + 1, _N, _TILE), dtype=np.float32)


@compiled
def losses_of(weights: Floats, tokens: Tokens, context: int, losses: Floats) -> None:
    """Put the losses of sequences (n, B, L + 1) under weights (n, P) into `losses` (n, B)."""
    tiles = _tiles()
    for i in range(tokens.shape[0]):
        for b in range(tokens.shape[1]):
            losses[i, b] = _add_sequence(weights[i], tokens[i, b], context, 0.0, tiles, weights[i])


@compiled
def add_gradients_of(
    weights: Floats, tokens: Tokens, context: int, scale: Floats, gradients: Floats, losses: Floats
) -> None:
    """As `losses_of`, and add the gradient of Σ scale · loss, scale (n, B), to `gradients` (n, P)."""
    tiles = _tiles()
    for i in range(tokens.shape[0]):
        for b in range(tokens.shape[1]):
            losses[i, b] = _add_sequence(weights[i], tokens[i, b], context, scale[i, b], tiles, gradients[i])


@inlined
def _adamw_row(
    values: Floats,
    gradient: Floats,
    first: Floats,
    second: Floats,
    step: float,
    lr: float,
    decay: float,
    b1: float,
    b2: float,
    eps: float,
) -> None:
    root = math.sqrt(1.0 - b2**step)
    rate = np.float32(lr * root / (1.0 - b1**step))
    floor = np.float32(eps * root)
    shrink = np.float32(1.0 - lr * decay)
    to_first, keep, to_second = np.float32(1.0 - b1), np.float32(b2), np.float32(1.0 - b2)
    for begin in range(0, len(values), _BLOCK):
        w, g = values[begin : begin + _BLOCK], gradient[begin : begin + _BLOCK]
        m, v = first[begin : begin + _BLOCK], second[begin : begin + _BLOCK]
        if shrink != _ONE:
            for k in range(len(w)):
                w[k] *= shrink
        busy = _ZERO
        for k in range(len(w)):
            busy += abs(g[k]) + abs(m[k]) + v[k]
        if busy == _ZERO:
            continue
        for k in range(len(w)):
            m[k] += to_first * (g[k] - m[k])
            v[k] = keep * v[k] + to_second * g[k] * g[k]
            w[k] -= rate * m[k] / (math.sqrt(v[k]) + floor)
            g[k] = _ZERO


@compiled
def adamw(
    values: Floats,
    gradients: Floats,
    first: Floats,
    second: Floats,
    steps: Doubles,
    lr: Floats,
    decay: Floats,
    b1: float,
    b2: float,
    eps: float,
) -> None:
    """One step of each learner, values (n, P); `steps` (the one at hand counted), `lr` and `decay` (n, 1).

    Puts the gradients to zero. Where a gradient and both moments are zero nothing moves and nothing is
    computed: most context vectors of a text's bytes.
    """
    for i in range(values.shape[0]):
        step, rate, shrink = steps[i, 0], lr[i, 0], decay[i, 0]
        _adamw_row(values[i], gradients[i], first[i], second[i], step, rate, shrink, b1, b2, eps)


@inlined
def _dot(a: Floats, b: Floats) -> float:
    total = _ZERO
    for k in range(len(a)):
        total += a[k] * b[k]
    return float(total)


@inlined
def _snr(a: Floats, b: Floats, less: float, scale_a: float, scale_b: float, n_a: int, n_b: int) -> float:
    """`gradient_noise.snr` of scale_a · a and scale_b · (b - less · a); NaN where there is no noise."""
    minus, of_a, of_b = np.float32(less), np.float32(scale_a), np.float32(scale_b)
    product = squares = _ZERO
    for k in range(len(a)):
        x, y = of_a * a[k], of_b * (b[k] - minus * a[k])
        product += x * y
        squares += (x - y) * (x - y)
    noise = squares / (1.0 / n_a + 1.0 / n_b)
    return float(product / noise) if noise > 0.0 else math.nan


@compiled
def train_round(
    values: Floats,
    first: Floats,
    second: Floats,
    steps: Doubles,
    last_move: Floats,
    which: Ints,
    tokens: Tokens,
    context: int,
    batch_size: Ints,
    updates: Ints,
    lr: Doubles,
    decay: Doubles,
    b1: float,
    b2: float,
    eps: float,
    counts: Ints,
    figures: Doubles,
) -> None:
    """A round of the learners in `which`, one behind the other: each stays in the cache from first to last step.

    What `CausalLMLearner.update` does, on rows of values, moments and last moves (n, P) and tokens
    (k, most, L + 1). `counts` (2, k) become steps taken and refused; `figures` (5, k) become the mean loss, the
    norm of the first gradient, its signal to noise, its cosine with the last move, and the length of the
    round's move relative to the weights; those not known stay as they are.
    """
    tiles = _tiles()
    gradient = np.zeros(values.shape[1], dtype=np.float32)
    half, start = np.empty_like(gradient), np.empty_like(gradient)
    for r in range(len(which)):
        i, size = which[r], batch_size[r]
        taken, loss_sum, snr, has_before = 0, 0.0, math.nan, False
        start[:] = values[i]
        for u in range(updates[r]):
            middle = size // 2 if u == 0 else 0
            loss = 0.0
            for b in range(size):
                if b == middle and middle > 0:
                    half[:] = gradient
                sequence = tokens[r, u * size + b]
                loss += _add_sequence(values[i], sequence, context, 1.0 / size, tiles, gradient)
            loss, norm = loss / size, math.sqrt(_dot(gradient, gradient))
            if not (math.isfinite(loss) and math.isfinite(norm)):
                counts[1, r] += 1
                gradient[:] = _ZERO
                continue
            if taken == 0:
                figures[1, r] = norm
                length = math.sqrt(_dot(last_move[i], last_move[i])) * norm
                if length > 0.0:
                    figures[3, r] = -_dot(gradient, last_move[i]) / length
            if math.isnan(snr):
                if middle > 0:
                    rest = size - middle
                    snr = _snr(half, gradient, 1.0, size / middle, size / rest, middle, rest)
                elif has_before:
                    snr = _snr(half, gradient, 0.0, 1.0, 1.0, size, size)
                half[:] = gradient  # from here on, the batch before
                has_before = True
            steps[i, 0] += 1.0
            _adamw_row(values[i], gradient, first[i], second[i], steps[i, 0], lr[r], decay[r], b1, b2, eps)
            taken += 1
            loss_sum += loss
        if taken == 0:
            continue
        counts[0, r] = taken
        figures[0, r], figures[2, r] = loss_sum / taken, snr
        for k in range(len(start)):
            last_move[i, k] = values[i, k] - start[k]
        length = math.sqrt(_dot(start, start))
        if length > 0.0:
            figures[4, r] = math.sqrt(_dot(last_move[i], last_move[i])) / length
