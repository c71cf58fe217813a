"""Wall time of calls, by `time.perf_counter`."""

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any


def seconds(call: Callable[[], Any], *, calls: int, tries: int = 5) -> float:
    """Wall seconds of one call: the least of `tries` means over `calls` calls, after one call to warm up.

    The least is what the call takes where nothing else disturbs it.
    """
    call()
    least = float("inf")
    for _ in range(tries):
        started = time.perf_counter()
        for _ in range(calls):
            call()
        least = min(least, (time.perf_counter() - started) / calls)
    return least


def alternating(
    calls: Mapping[str, Callable[[], Any]], *, blocks: int, length: int
) -> dict[str, list[float]]:
    """Wall seconds a call of each, a value a block; the calls take turns, `length` calls a block.

    What slows the machine for a while slows all of them, so that their ratios hold.
    """
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(blocks):
        for name, call in calls.items():
            started = time.perf_counter()
            for _ in range(length):
                call()
            taken[name].append((time.perf_counter() - started) / length)
    return taken


def ratio(taken: Mapping[str, list[float]], over: str, under: str) -> float:
    """Median over blocks of one call's time over another's."""
    return median(a / b for a, b in zip(taken[over], taken[under], strict=True))
