"""Time of calls: wall by `time.perf_counter`, processor by `time.process_time`.

On a machine that others use too, wall time of what takes more than some milliseconds mostly says how busy it was.
Processor time of one thread is the wall time that an idle machine would show.
"""

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

TRY_S = 1e-3


def seconds(call: Callable[[], Any], *, calls: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds of one call: the lower decile of many short tries, after one call to warm up.

    About `calls` calls are made, in tries of about a millisecond, of which some are undisturbed on any machine.
    """
    started = time.perf_counter()
    call()
    each = max(1, int(TRY_S / (time.perf_counter() - started)))
    tries = []
    for _ in range(max(1, -(-calls // each))):
        started = clock()
        for _ in range(each):
            call()
        tries.append((clock() - started) / each)
    return sorted(tries)[len(tries) // 10]


def alternating(
    calls: Mapping[str, Callable[[], Any]], *, blocks: int, length: int
) -> dict[str, dict[str, list[float]]]:
    """Seconds a call, by "wall" and "processor" and by the call's name, a value a block.

    The calls take turns, `length` calls a block: what slows the machine for a while slows all of them, so that
    their ratios hold.
    """
    taken = {clock: {name: list[float]() for name in calls} for clock in ("wall", "processor")}
    for _ in range(blocks):
        for name, call in calls.items():
            wall, processor = time.perf_counter(), time.process_time()
            for _ in range(length):
                call()
            taken["wall"][name].append((time.perf_counter() - wall) / length)
            taken["processor"][name].append((time.process_time() - processor) / length)
    return taken


def ratio(taken: Mapping[str, list[float]], over: str, under: str) -> float:
    """Median over blocks of one call's time over another's."""
    return median(a / b for a, b in zip(taken[over], taken[under], strict=True))
