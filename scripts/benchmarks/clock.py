"""Wall time of calls, by `time.perf_counter`."""

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

TRY_S = 1e-3


def seconds(call: Callable[[], Any], *, calls: int) -> float:
    """Wall seconds of one call: the lower decile of many short tries, after one call to warm up.

    About `calls` calls are made, in tries of at least a millisecond each. On a machine that others use too, some
    of such short tries are undisturbed; a mean over long ones would mostly say how busy the machine was.
    """
    started = time.perf_counter()
    call()
    each = max(1, int(TRY_S / (time.perf_counter() - started)))
    tries = []
    for _ in range(max(1, -(-calls // each))):
        started = time.perf_counter()
        for _ in range(each):
            call()
        tries.append((time.perf_counter() - started) / each)
    return sorted(tries)[len(tries) // 10]


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
