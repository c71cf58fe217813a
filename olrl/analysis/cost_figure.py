"""Loss against what it cost."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
    """Entrants as points, those that nothing beats in both joined by a line; tuning as hollow marks to the right.

    Cost is on a logarithmic axis. What costs nothing (`never`) has no place there and is a line across.
    """
    figure, [ax] = style.panels((4.6,), width=9.0)
    ax.set_xscale("log")
    ax.set_xlabel("cost of a run (units: an update over B sequences is 4 + B; log scale)", fontsize=9)
    ax.set_ylabel("loss before training (bits per byte)", fontsize=9)
    paid = {name: point for name, point in points.items() if point.cost > 0}
    front = _front(list(paid.values()))
    ax.step(
        [p.cost for p in front], [p.loss_bpb for p in front], where="post",
        color=style.GREY, linewidth=1.0, linestyle="--", zorder=1, label="nothing is better in both",
    )  # fmt: skip
    for name, point in paid.items():
        colour = style.BLUE if name in highlight else style.DARK
        ax.plot([point.cost], [point.loss_bpb], "o", color=colour, markersize=7 if name in highlight else 5)
        if point.with_tuning is not None and point.with_tuning > point.cost:
            ax.plot(
                [point.cost, point.with_tuning], [point.loss_bpb] * 2, color=colour, linewidth=0.6, alpha=0.5
            )
            ax.plot(
                [point.with_tuning],
                [point.loss_bpb],
                "o",
                color=colour,
                markersize=4,
                markerfacecolor="white",
            )
    ax.plot(
        [],
        [],
        "o",
        color=style.DARK,
        markersize=4,
        markerfacecolor="white",
        label="with its tuning, for one run",
    )
    for name, point in points.items():
        if point.cost <= 0:
            ax.axhline(point.loss_bpb, color=style.GREY, linewidth=0.8, linestyle=":")
            ax.annotate(
                f"{name}: no cost", (1.0, point.loss_bpb), xycoords=("axes fraction", "data"), xytext=(-2, 3),
                textcoords="offset points", ha="right", fontsize=8.5, color="#606060",
            )  # fmt: skip
    _names(figure, ax, paid, highlight)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=8.5)
    return figure


def _front(points: Sequence[CostPoint]) -> list[CostPoint]:
    """Those that no other is at most as dear as and better than, by cost."""
    front: list[CostPoint] = []
    for point in sorted(points, key=lambda point: (point.cost, point.loss_bpb)):
        if not front or point.loss_bpb < front[-1].loss_bpb:
            front.append(point)
    return front


def _names(figure: Figure, ax: Axes, points: Mapping[str, CostPoint], highlight: Collection[str]) -> None:
    """Names in a column to the right of the panel, pushed apart, each joined to its point by a thin line."""
    if not points:
        return
    losses = [point.loss_bpb for point in points.values()]
    pad = 0.05 * (max(losses) - min(losses) or 1.0)
    top = max(point.loss_bpb for point in points.values()) + pad
    ax.set_ylim(min(losses) - pad, max(top, *ax.get_ylim()))
    low, high = ax.get_ylim()
    gap = (high - low) / max(22, len(points))
    place = low
    for name in sorted(points, key=lambda name: points[name].loss_bpb):
        point = points[name]
        place = max(place + gap, point.loss_bpb)
        colour = style.BLUE if name in highlight else "#404040"
        ax.annotate(
            name, (point.cost, point.loss_bpb), xytext=(1.02, place), xycoords="data",
            textcoords=ax.get_yaxis_transform(), va="center", fontsize=8.5, color=colour,
            fontweight="bold" if name in highlight else "normal", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": "#c8c8c8", "linewidth": 0.6, "shrinkB": 4},
        )  # fmt: skip
