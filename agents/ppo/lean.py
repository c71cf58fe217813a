"""How an untrained policy leans: towards staying where it is, and training."""

STAY_BIAS, UPDATE_BIAS = 1.0, 2.0  # logits
# Which heads of a coding are moves (down, stay, up).
MOVE_HEADS = {
    "moves": (True, True, True, False),
    "positions": (True, False, False, False),
    "residual": (True, False, False, False),
    "residual-moves": (True, True, True, False),
    "anchored": (False, False, False, False),
}
