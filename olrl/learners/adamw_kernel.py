"""AdamW in one pass over the memory of many learners."""

import math

import numpy as np
from numpy.typing import NDArray

from olrl.learners.compiled import compiled

Floats = NDArray[np.float32]
_ONE, _ZERO = np.float32(1.0), np.float32(0.0)
_BLOCK = 128  # weights


@compiled
def adamw(
    values: Floats,
    gradients: Floats,
    first: Floats,
    second: Floats,
    steps: NDArray[np.float64],
    lr: Floats,
    decay: Floats,
    b1: float,
    b2: float,
    eps: float,
) -> None:
    """Move `values` (n, P) as `StackedOptimizer` says; `steps`, `lr`, `decay` (n, 1), the step at hand counted.

    Where a gradient and both moments are zero there is nothing to move: most context vectors of a text's bytes.
    """
    to_first, keep, to_second = np.float32(1.0 - b1), np.float32(b2), np.float32(1.0 - b2)
    for i in range(values.shape[0]):
        root = math.sqrt(1.0 - b2 ** steps[i, 0])
        rate = np.float32(lr[i, 0] * root / (1.0 - b1 ** steps[i, 0]))
        floor = np.float32(eps * root)
        shrink = _ONE - lr[i, 0] * decay[i, 0]
        for begin in range(0, values.shape[1], _BLOCK):
            w, g = values[i, begin : begin + _BLOCK], gradients[i, begin : begin + _BLOCK]
            m, v = first[i, begin : begin + _BLOCK], second[i, begin : begin + _BLOCK]
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
