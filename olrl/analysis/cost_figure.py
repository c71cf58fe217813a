"""Loss against what it cost."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from olrl.analysis import style


@dataclass(frozen=True, kw_only=True)
class CostPoint:
    """One entrant's mean loss (bits a byte) and the mean cost units of a run.

    `cost` is everything that the run itself took, `with_tuning` also the tuning that went before it, all of it
    charged to this one run; None for an entrant without.
    """

    loss_bpb: float
    cost: float
    with_tuning: float | None = None


def figure_cost(
    points: Mapping[str, CostPoint], *, title: str = "", highlight: Collection[str] = ()
) -> Figure:
    """Entrants as points, those that nothing beats in both joined by a line; hollow marks are with tuning.

    Cost is on a logarithmic axis. What costs nothing (`never`) has no place there and is a line across, or a word
    at the top where its loss is far above all others. Raises ValueError when nothing costs anything.
    """
    paid = {name: point for name, point in points.items() if point.cost > 0}
    if not paid:
        raise ValueError("no entrant has a cost: there is nothing to set a loss against")
    figure, [ax] = style.panels((5.2,), width=9.0)
    ax.set_xscale("log")
    ax.set_xlabel("cost of a run (units: an update over B sequences is 4 + B)", fontsize=9)
    ax.set_ylabel("loss before training (bits per byte)", fontsize=9)
    front = _front(list(paid.values()))
    ax.step(
        [p.cost for p in front], [p.loss_bpb for p in front], where="post",
        color=style.GREEN, linewidth=1.3, zorder=1, label="nothing is better in both",
    )  # fmt: skip
    for name, point in paid.items():
        ours = name in highlight
        look: dict[str, Any] = {"color": style.BLUE if ours else style.DARK, "zorder": 4 if ours else 3}
        ax.plot([point.cost], [point.loss_bpb], "o", markersize=7 if ours else 5, **look)
        if point.with_tuning is not None:
            look["color"] = style.BLUE if ours else style.GREY
            ax.plot([point.with_tuning], [point.loss_bpb], "o", markersize=4, markerfacecolor="white", **look)
    if any(point.with_tuning for point in paid.values()):
        label = "with its tuning, all charged to one run"
        ax.plot([], [], "o", color=style.GREY, markersize=4, markerfacecolor="white", label=label)
    _limits(ax, paid)
    for name, point in points.items():
        if point.cost <= 0:
            _free(ax, name, point.loss_bpb)
    _names(ax, paid, highlight)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=8.5)
    return figure


def _limits(ax: Axes, points: Mapping[str, CostPoint]) -> None:
    losses = [point.loss_bpb for point in points.values()]
    pad = 0.06 * (max(losses) - min(losses)) or 0.05
    ax.set_ylim(min(losses) - pad, max(losses) + pad)
    costs = [cost for point in points.values() for cost in (point.cost, point.with_tuning) if cost]
    margin = 1.5 * (max(costs) / min(costs)) ** 0.15
    ax.set_xlim(min(costs) / margin, max(costs) * margin)  # for names


def _free(ax: Axes, name: str, loss: float) -> None:
    low, high = ax.get_ylim()
    inside = low <= loss <= high
    if inside:
        ax.axhline(loss, color=style.GREY, linewidth=0.8, linestyle=":")
    ax.annotate(
        f"{name}: no cost, {loss:.3f}" + ("" if inside else " (above)"),
        (1.0, loss if inside else high), xycoords=("axes fraction", "data"), xytext=(-2, 3 if inside else -3),
        textcoords="offset points", ha="right", va="bottom" if inside else "top", fontsize=8.5, color="#606060",
    )  # fmt: skip


def _front(points: Sequence[CostPoint]) -> list[CostPoint]:
    """Those that no other is at most as dear as and better than, by cost."""
    front: list[CostPoint] = []
    for point in sorted(points, key=lambda point: (point.cost, point.loss_bpb)):
        if not front or point.loss_bpb < front[-1].loss_bpb:
            front.append(point)
    return front


def _names(ax: Axes, points: Mapping[str, CostPoint], highlight: Collection[str]) -> None:
    """Names beside their points, moved apart where they would lie over one another.

    Most entrants spend the same budget and stand above one another: their names are to the left, beside all points.
    """
    low, high = ax.get_ylim()
    left, right = ax.get_xlim()
    for k, names in enumerate(_neighbours(points, reach=(right / left) ** 0.06)):
        away = (right / left) ** (-0.035 if k == 0 else 0.02)
        gap = (high - low) / 27
        heights = spread(np.array([points[name].loss_bpb for name in names]), gap=gap)
        heights += max(low + gap / 2 - heights[0], 0.0)  # not onto the axis
        for name, height in zip(names, heights, strict=True):
            point, ours = points[name], name in highlight
            ax.annotate(
                name, (point.cost, point.loss_bpb), xytext=(point.cost * away, height),
                va="center", ha="right" if k == 0 else "left", fontsize=8.5,
                color=style.BLUE if ours else "#404040", fontweight="bold" if ours else "normal",
                arrowprops={"arrowstyle": "-", "color": "#c0c0c0", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3},
            )  # fmt: skip


def _neighbours(points: Mapping[str, CostPoint], *, reach: float) -> list[list[str]]:
    """Names in groups of like cost, each group from the lowest loss up."""
    groups: list[list[str]] = []
    for name in sorted(points, key=lambda name: points[name].cost):
        if groups and points[name].cost < reach * points[groups[-1][0]].cost:
            groups[-1].append(name)
        else:
            groups.append([name])
    return [sorted(group, key=lambda name: points[name].loss_bpb) for group in groups]


def spread(heights: NDArray[np.float64], *, gap: float) -> NDArray[np.float64]:
    """Ascending heights moved as little as need be (least squares) to be at least `gap` apart.

    Isotonic regression of what is left after k gaps are taken from the k-th, by pooling adjacent violators.

    >>> spread(np.array([0.0, 1.0, 1.0, 9.0]), gap=2.0).tolist()
    [-1.3333333333333333, 0.6666666666666667, 2.666666666666667, 9.0]
    """
    steps = gap * np.arange(len(heights))
    pools: list[tuple[float, int]] = []  # mean and size of runs that move together
    for value in (heights - steps).tolist():
        pool = (value, 1)
        while pools and pools[-1][0] > pool[0]:
            mean, size = pools.pop()
            pool = ((mean * size + pool[0] * pool[1]) / (size + pool[1]), size + pool[1])
        pools.append(pool)
    means, sizes = zip(*pools, strict=True)
    return np.asarray(np.repeat(means, sizes) + steps)
