"""The log-bilinear model and its gradient for one learner, in loops that a compiler turns into vector code.

Tokens are taken 64 at a time, and all that is known of them lies in a few kilobytes as tiles (16, 64): a
number's values for 64 tokens are neighbours, so that loops over tokens are loops over vectors.
"""

import math

import numpy as np
from numpy.typing import NDArray

from olrl.learners.compiled import add_16, compiled

Floats = NDArray[np.float32]
Tokens = NDArray[np.int64]
Tile = Floats

_N = 16  # nibbles, and numbers of a context vector
_V = _N * _N
_TILE = 64  # tokens
_H, _GATED, _HIGH, _LOW, _D_H, _D_GATED, _ROWS, _SMALL = range(8)  # tiles
_LARGEST, _HIGH_SUM, _LOW_SUM, _POWER = range(4)  # rows of the last

# e^r on |r| <= ln 2 / 2, from the Cephes library's expf.
_LOG2_E, _LN_2 = np.float32(1.44269504), np.float32(0.693147181)
_E2, _E3, _E4 = np.float32(0.5), np.float32(1.6666665459e-1), np.float32(4.1665795894e-2)
_E5, _E6, _E7 = np.float32(8.3334519073e-3), np.float32(1.3981999507e-3), np.float32(1.9875691500e-4)
_LEAST = np.float32(-87.0)  # below, e^x is no normal number
_HALF, _ONE, _ZERO = np.float32(0.5), np.float32(1.0), np.float32(0.0)


@compiled
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


@compiled
def _add_products(out: Tile, weights: Floats, start: int, by: int, step: int, x: Tile, m: int) -> None:
    """Add Σ_d weights[start + by v + step d] · x[d] to out[v], for m tokens."""
    for v in range(_N):
        for d in range(0, _N, 4):
            w = start + by * v + step * d
            w0, w1, w2, w3 = weights[w], weights[w + step], weights[w + 2 * step], weights[w + 3 * step]
            for t in range(m):
                out[v, t] += w0 * x[d, t] + w1 * x[d + 1, t] + w2 * x[d + 2, t] + w3 * x[d + 3, t]


@compiled
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


@compiled
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
    return total + math.log(product)


@compiled
def _divide(x: Tile, sums: Floats, each: np.float32, m: int) -> None:
    """Turn exponentials into probabilities, times `each`."""
    for t in range(m):
        sums[t] = each / sums[t]
    for v in range(_N):
        for t in range(m):
            x[v, t] *= sums[t]


@compiled
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


@compiled
def losses_of(weights: Floats, tokens: Tokens, context: int, losses: Floats) -> None:
    """Put the losses of sequences (n, B, L + 1) under weights (n, P) into `losses` (n, B)."""
    tiles = np.empty((_SMALL + 1, _N, _TILE), dtype=np.float32)
    length = tokens.shape[2] - 1
    for i in range(tokens.shape[0]):
        for b in range(tokens.shape[1]):
            total = 0.0
            for first in range(0, length, _TILE):
                total += _forward(weights[i], tokens[i, b], context, first, tiles)
            losses[i, b] = total / length


@compiled
def add_gradients_of(
    weights: Floats, tokens: Tokens, context: int, scale: Floats, gradients: Floats, losses: Floats
) -> None:
    """As `losses_of`, and add the gradient of Σ scale · loss, scale (n, B), to `gradients` (n, P)."""
    tiles = np.empty((_SMALL + 1, _N, _TILE), dtype=np.float32)
    length = tokens.shape[2] - 1
    for i in range(tokens.shape[0]):
        for b in range(tokens.shape[1]):
            total = 0.0
            for first in range(0, length, _TILE):
                total += _forward(weights[i], tokens[i, b], context, first, tiles)
                if scale[i, b] != 0.0:
                    each = np.float32(scale[i, b] / length)
                    _backward(weights[i], tokens[i, b], context, first, each, tiles, gradients[i])
            losses[i, b] = total / length
