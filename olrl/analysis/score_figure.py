"""Scores of several entrants for each kind of drift."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from olrl.analysis import style

LOWEST, HIGHEST = -1.5, 1.5  # what lies outside is marked at the edge with its number


class Estimate(NamedTuple):
    """A number with the ends of its 95 % interval, None where there is none."""

    value: float
    low: float | None = None
    high: float | None = None


def figure_scores(
    scores: Mapping[str, Mapping[str, Estimate]], *, title: str = "", highlight: Collection[str] = ()
) -> Figure:
    """A panel a kind of drift, a row an entrant: dots with their intervals; lines where 0 and 1 are.

    `scores` are by entrant, then by kind, the entrants in the order given from the top down. Raises ValueError for
    no scores.
    """
    kinds = list(dict.fromkeys(kind for of in scores.values() for kind in of))
    if not kinds:
        raise ValueError("no entrant has a score")
    figure = Figure(figsize=(2.2 + 2.1 * len(kinds), 1.3 + 0.27 * len(scores)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    for ax, kind in zip(axes, kinds, strict=True):
        style.bare(ax, grid="x")
        for place, (name, of) in enumerate(scores.items()):
            if kind in of:
                _draw(ax, place, of[kind], style.BLUE if name in highlight else style.DARK)
        ax.axvline(0, color=style.BLACK, linewidth=0.9, zorder=1)
        ax.axvline(1, color=style.GREEN, linewidth=0.9, zorder=1)
        ax.set_xlim(LOWEST - 0.12, HIGHEST + 0.12)
        ax.set_xticks([-1, 0, 1], ["-1", "0\nfixed", "1\nbest of\neach segment"], fontsize=8)
        ax.set_title(kind, fontsize=10)
    axes[0].set_yticks(range(len(scores)), list(scores), fontsize=9)
    axes[0].set_ylim(len(scores) - 0.4, -0.6)
    for label in axes[0].get_yticklabels():
        if label.get_text() in highlight:
            label.set(color=style.BLUE, fontweight="bold")
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    return figure


def _draw(ax: Axes, place: int, found: Estimate, colour: str) -> None:
    shown = min(max(found.value, LOWEST), HIGHEST)
    if shown != found.value:
        side = "left" if shown == LOWEST else "right"
        ax.plot([shown], [place], marker="<" if side == "left" else ">", color=colour, markersize=5)
        ax.annotate(
            f"{found.value:.1f}", (shown, place), xytext=(7 if side == "left" else -7, 0), ha=side, va="center",
            textcoords="offset points", fontsize=8, color=colour,
        )  # fmt: skip
        return
    if found.low is not None and found.high is not None:
        ends = [min(max(end, LOWEST), HIGHEST) for end in (found.low, found.high)]
        ax.plot(
            ends, [place, place], color=colour, linewidth=2.2, alpha=0.45, solid_capstyle="butt", zorder=2
        )
    ax.plot([shown], [place], "o", color=colour, markersize=5.5, zorder=3)
