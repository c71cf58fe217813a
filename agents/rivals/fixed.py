"""One configuration for the whole stream, found by a search before it."""

from olrl.control.constant import Constant
from olrl.control.controller import Controller
from olrl.control.decision import BATCH_SIZES, WINDOWS, Base

from .entrant import Conditions, Entrant
from .search import LadderSearch, Search
from .space import Choice, LogUniform

RATES = tuple(float(f"{3e-5 * 2 ** (k / 2):.3g}") for k in range(20))  # 3e-5 … 0.02
AXES = {"lr": RATES, "batch_size": BATCH_SIZES, "window": WINDOWS}


class Fixed(Entrant):
    """The constant that was tuned for the model on training streams, whatever the base."""

    def controller(self, given: Conditions) -> Controller:
        """Settings that are tried come before the constant that ships with the model."""
        if given.settings:
            return Constant(base=Base(**given.settings))
        if given.fixed is None:
            raise ValueError("no tuned constant ships for this model: leave out 'fixed', or use nano or pico")
        return Constant(base=given.fixed)

    def search(self, *, seed: int) -> Search:
        """Along the ladders, from the middle of them; `seed` changes nothing."""
        return LadderSearch(AXES, start={"lr": RATES[9], "batch_size": 4, "window": 1})


FIXED = Fixed(
    name="fixed",
    description="the constant tuned on training streams",
    uses_base=False,
    space={
        "lr": LogUniform(low=3e-5, high=2e-2),
        "batch_size": Choice(options=BATCH_SIZES),
        "window": Choice(options=WINDOWS),
    },
)
