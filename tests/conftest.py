"""What all tests share: one thread, repeatable hypotheses, and a watch over the global random generators."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when numpy and torch are imported

import random
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

# No deadline, since cores are shared; derandomised, so that a run fails for a change and not by chance.
# To look further than that: pytest --hypothesis-profile explore
settings.register_profile("olrl", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=2_000)
settings.load_profile("olrl")


def _global_generators() -> dict[str, Any]:
    mersenne = np.random.get_state(legacy=False)["state"]  # noqa: NPY002 # the global one is what is watched
    states: dict[str, Any] = {
        "random": random.getstate(),
        "numpy": (mersenne["pos"], mersenne["key"].tobytes()),
    }
    if "torch" in sys.modules:
        states["torch"] = sys.modules["torch"].get_rng_state().numpy().tobytes()
    return states


@pytest.fixture
def global_generators_untouched() -> Iterator[None]:
    """Fails a test that drew from, or seeded, a global random generator."""
    before = _global_generators()
    yield
    after = _global_generators()
    touched = [name for name, state in before.items() if after[name] != state]
    assert not touched, f"the global random generator of {', '.join(touched)} was touched"
