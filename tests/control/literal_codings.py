"""The action codings for one learner in plain numbers: what the ones for many are held against."""

import math
from dataclasses import dataclass

from olrl.control.decision import BATCH_SIZES, REGULARISATION, WINDOWS, Base, Decision


@dataclass
class LiteralCoding:
    """Where one learner stands under a coding, and what an action makes of it."""

    name: str
    base: Base
    beta: float = 1.0

    def __post_init__(self) -> None:
        self.notch = 0.5 if self.name == "residual-moves" else 1.0
        self.lr_notches = self.batch_notches = 0.0
        self.position = WINDOWS.index(self.base.window)
        self.regularisation = {"weight_decay": 0.0, "pull": 0.0}

    def apply(self, action: list[int], cosine: float | None = None, age: float | None = None) -> Decision:
        rate, batch, window, *regularisation, update = action
        for name, choice in zip(("weight_decay", "pull"), regularisation, strict=False):
            self._regularise(name, choice)
        self._move_rate(rate, cosine, age)
        if self.name in ("moves", "moves-regularised", "leaps", "residual-moves"):
            low = -math.ceil(math.log2(self.base.batch_size))
            high = math.ceil(math.log2(BATCH_SIZES[-1] / self.base.batch_size))
            self.batch_notches = min(max(self.batch_notches + batch - 1, low), high)
            self.position = min(max(self.position + window - 1, 0), len(WINDOWS) - 1)
        else:
            self.batch_notches = math.log2(BATCH_SIZES[batch] / self.base.batch_size)
            self.position = window
        size = round(self.base.batch_size * 2.0**self.batch_notches)
        return Decision(
            lr=self.base.lr * 2.0**self.lr_notches,
            batch_size=min(max(size, 1), BATCH_SIZES[-1]),
            window=WINDOWS[self.position],
            update=update == 1,
            **self.regularisation,
        )

    def _regularise(self, name: str, choice: int) -> None:
        value = self.regularisation[name]
        steps = [step for step in REGULARISATION if (step < value if choice == 0 else step > value)]
        if choice != 1 and steps:
            self.regularisation[name] = steps[-1] if choice == 0 else steps[0]

    def _move_rate(self, rate: int, cosine: float | None, age: float | None) -> None:
        if self.name == "anchored":
            self.lr_notches = rate - 6.0
        elif self.name in ("residual", "residual-moves"):
            measured = cosine is not None and math.isfinite(cosine) and not (age is not None and age > 0)
            step = self.beta * min(max(cosine or 0.0, -1.0), 1.0) / math.log(2) if measured else 0.0
            self.lr_notches += step + self.notch * (rate - 1)
        else:
            self.lr_notches += rate - (2 if self.name == "leaps" else 1)
        self.lr_notches = min(max(self.lr_notches, -6.0), 6.0)
