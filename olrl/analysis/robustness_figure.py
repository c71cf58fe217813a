"""What a wrong base learning rate costs each entrant."""

from collections.abc import Collection, Mapping

from matplotlib.figure import Figure

from olrl.analysis import style
from olrl.analysis.score_figure import Estimate


def figure_robustness(
    costs: Mapping[str, Mapping[float, Estimate]], *, title: str = "", highlight: Collection[str] = ()
) -> Figure:
    """A row an entrant: its loss from a base rate that is wrong, against its own from the right one, per cent.

    `costs` are by entrant, then by factor on the base rate; a factor below 1 points to the left, one above to the
    right. Entrants that use no base have no row.
    """
    figure, [ax] = style.panels((0.7 + 0.34 * max(2, len(costs)),), width=8.0)
    style.bare(ax, grid="x")
    mults = sorted({mult for of in costs.values() for mult in of})
    for place, (name, of) in enumerate(costs.items()):
        for mult, found in of.items():
            colour = style.ORANGE if mult < 1 else style.VERMILION
            at = place + (-0.12 if mult < 1 else 0.12)
            if found.low is not None and found.high is not None:
                ax.plot([found.low, found.high], [at, at], color=colour, linewidth=2.2, alpha=0.45)
            ax.plot([found.value], [at], "<" if mult < 1 else ">", color=colour, markersize=6.5)
        if name in highlight:
            ax.axhspan(place - 0.42, place + 0.42, color=style.BAND, linewidth=0, zorder=0)
    for mult in mults:
        colour = style.ORANGE if mult < 1 else style.VERMILION
        ax.plot([], [], "<" if mult < 1 else ">", color=colour, label=f"base rate ×{mult:g}")
    ax.axvline(0, color=style.BLACK, linewidth=0.9, zorder=1)
    ax.set_yticks(range(len(costs)), list(costs), fontsize=9)
    ax.set_ylim(len(costs) - 0.5, -0.5)
    for label in ax.get_yticklabels():
        if label.get_text() in highlight:
            label.set(color=style.BLUE, fontweight="bold")
    ax.set_xlabel("loss against its own from the right base rate, % (0 is best)", fontsize=9)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    figure.legend(loc="outside lower left", ncols=len(mults), frameon=False, fontsize=8.5)
    return figure
