"""Which way an untrained policy leans: towards staying where it is, and training."""

STAY_BIAS, UPDATE_BIAS = 1.0, 2.0  # logits
# Which choice of each head of a coding is to stay; None where heads are positions, and for the update.
STAYING: dict[str, tuple[int | None, ...]] = {
    "moves": (1, 1, 1, None),
    "moves-regularised": (1, 1, 1, 1, 1, None),
    "leaps": (2, 1, 1, None),
    "positions": (1, None, None, None),
    "residual": (1, None, None, None),
    "residual-moves": (1, 1, 1, None),
    "anchored": (None, None, None, None),
}
