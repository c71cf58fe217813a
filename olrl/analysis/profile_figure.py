"""Performance profiles: on how many streams an entrant is how much better or worse than a rival."""

from collections.abc import Collection, Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike

from olrl.analysis import style
from olrl.analysis.compare_figure import COLOURS


def figure_profiles(
    grid: ArrayLike,
    profiles: Mapping[str, ArrayLike],
    *,
    rival: str,
    title: str = "",
    highlight: Collection[str] = (),
) -> Figure:
    """Share of streams with a relative difference of at most x, a curve an entrant.

    `grid` holds differences in per cent, shape (n,); a profile share, low and high, shape (3, n); the
    bands of the highlighted ones are drawn. A curve further
    up and left is better; where it crosses x = 0 stands on how many streams the rival is beaten.
    """
    x = np.asarray(grid, dtype=np.float64)
    figure, [ax] = style.panels((4.2,), width=8.0)
    order = sorted(profiles, key=lambda name: name not in highlight)
    for k, name in enumerate(order):
        share, low, high = np.asarray(profiles[name], dtype=np.float64)
        colour, wide = COLOURS[k % len(COLOURS)], name in highlight
        if wide:  # all bands at once would hide all curves
            ax.fill_between(x, low, high, step="post", color=colour, alpha=0.18, linewidth=0)
        dash = style.DASHES[k // len(COLOURS) % len(style.DASHES)]
        (line,) = ax.step(x, share, where="post", color=colour, linestyle=dash, label=name)
        line.set(linewidth=2.4 if wide else 1.2, zorder=3 if wide else 2)  # under no curve that is the same
    ax.axvline(0, color=style.GREY, linewidth=0.8, zorder=1)
    ax.axhline(0.5, color=style.GREY, linewidth=0.8, linestyle=":", zorder=1)
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(0, 1.01)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel(f"loss against {rival}, % (negative is better)", fontsize=9)
    ax.set_ylabel("share of streams at most there", fontsize=9)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    figure.legend(loc="outside right center", frameon=False, fontsize=9)
    return figure
