"""Decisions, and the bounds and ladders they live on."""

import math
from dataclasses import dataclass

# The window ladder: how many of the newest chunks training draws from; 0 is the reservoir.
WINDOWS: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 0)
BATCH_SIZES: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
# What a coding that controls them chooses from, for weight decay and for the pull towards the initial weights: a
# step takes lr × that off the weights, or off their distance. At usual rates less than 0.1 does next to nothing.
REGULARISATION: tuple[float, ...] = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
MAX_LR_NOTCHES = 6  # lr = base * 2**k with k in [-6, 6]


@dataclass(frozen=True, kw_only=True)
class Base:
    """The user's own configuration: where control starts from, and possibly wrong.

    >>> Base(lr=3e-4, batch_size=16, window=8).window
    8
    >>> Base(lr=3e-4, batch_size=16, window=5)
    Traceback (most recent call last):
    ...
    ValueError: base window must be one of 1, 2, 4, 8, 16, 32, 64 or 0 (the reservoir), not 5
    """

    lr: float
    batch_size: int = 8
    window: int = 8
    weight_decay: float = 0.0
    pull: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ValueError(f"base lr must be a positive number, not {self.lr!r}")
        if not 1e-30 <= self.lr <= 3.4e38:  # what is 64 times as much or as little has to be a number too
            raise ValueError(f"base lr must be from 1e-30 to 3.4e38, not {self.lr!r}")
        if not 1 <= self.batch_size <= BATCH_SIZES[-1]:
            raise ValueError(f"base batch size must be from 1 to {BATCH_SIZES[-1]}, not {self.batch_size!r}")
        if self.window not in WINDOWS:
            raise ValueError(
                f"base window must be one of 1, 2, 4, 8, 16, 32, 64 or 0 (the reservoir), not {self.window!r}"
            )
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ValueError(f"base weight decay must be at least 0, not {self.weight_decay!r}")
        if not (math.isfinite(self.pull) and self.pull >= 0):
            raise ValueError(f"base pull must be at least 0, not {self.pull!r}")

    def decision(self, *, update: bool = True) -> "Decision":
        """The base as a decision."""
        return Decision(
            lr=self.lr,
            batch_size=self.batch_size,
            window=self.window,
            update=update,
            weight_decay=self.weight_decay,
            pull=self.pull,
        )


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What holds from the first to the last update of one round.

    `lr` is the optimizer's learning rate, `batch_size` counts sequences per optimizer step, `window` counts the
    newest chunks drawn from (0: the reservoir), `update=False` skips training in this round. A step takes
    lr × `weight_decay` off each weight (AdamW's, decoupled) and lr × `pull` off its distance from where it began.
    """

    lr: float
    batch_size: int
    window: int
    update: bool = True
    weight_decay: float = 0.0
    pull: float = 0.0

    def regularisation(self) -> dict[str, float]:
        """Weight decay and pull by name."""
        return {"weight_decay": self.weight_decay, "pull": self.pull}
