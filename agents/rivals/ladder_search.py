"""Search along ladders: trials of the best point's neighbours on each axis in turn."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Point = Mapping[str, Any]


def ladder_search(
    loss_of: Callable[[Point], float], start: Point, axes: Mapping[str, Sequence[Any]], *, most: int
) -> list[tuple[Point, float]]:
    """Points tried with their losses: neighbours on each axis in turn, until a whole turn brings nothing.

    At most `most` of them. `start` lies on the axes; on ladders as coarse as factors of two, losses have one
    valley.

    >>> axes = {"lr": [1, 2, 4, 8], "window": [1, 4]}
    >>> tried = ladder_search(lambda p: abs(p["lr"] - 4) + p["window"], {"lr": 1, "window": 4}, axes, most=20)
    >>> best(tried), len(tried)
    (({'lr': 4, 'window': 1}, 1), 7)
    """
    tried: list[tuple[Point, float]] = [(start, loss_of(start))]
    while True:
        before = best(tried)[1]
        for name, ladder in axes.items():
            _climb(tried, loss_of, name, ladder, most=most)
        if best(tried)[1] >= before or len(tried) >= most:
            return tried


def best(tried: Sequence[tuple[Point, float]]) -> tuple[Point, float]:
    """The point of least loss, the earliest among equals."""
    return min(tried, key=lambda pair: pair[1])


def _climb(
    tried: list[tuple[Point, float]],
    loss_of: Callable[[Point], float],
    name: str,
    ladder: Sequence[Any],
    *,
    most: int,
) -> None:
    """Try points along one axis until both neighbours of the best one are known."""
    while True:
        centre = best(tried)[0]
        at = ladder.index(centre[name])
        neighbours = [{**centre, name: ladder[k]} for k in (at - 1, at + 1) if 0 <= k < len(ladder)]
        new = [point for point in neighbours if point not in [known for known, _ in tried]]
        if not new or len(tried) >= most:
            return
        tried += [(point, loss_of(point)) for point in new[: most - len(tried)]]
