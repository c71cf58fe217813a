"""The figure of a search: how good trials were, one after the other, and by what they cost."""

from collections.abc import Sequence
from itertools import accumulate

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from olrl.analysis import style

from .trial import Trial


def figure_search(trials: Sequence[Trial], *, title: str = "", unit: str = "byte") -> Figure:
    """Loss of each trial and the best so far, above by its number, below by the compute spent until then.

    Losses are bits a `unit`. Compute counts in runs of the first trial, the base, whose loss is the dashed line.
    Trials that were stopped early are hollow: their loss is that of fewer rounds. One that has diverged stands at
    the upper edge.
    """
    figure = Figure(figsize=(8.0, 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1)
    costs = list(accumulate(trial.cost / trials[0].cost for trial in trials))
    _panel(above, [float(trial.number + 1) for trial in trials], trials)
    _panel(below, costs, trials)
    for panel in (above, below):
        panel.set_ylabel(f"loss, bits a {unit}", fontsize=9)
    above.set_xlabel("trials", fontsize=9)
    below.set_xlabel("compute, runs with the base", fontsize=9)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    above.legend(frameon=False, fontsize=9, loc="upper right")
    return figure


def _panel(ax: Axes, x: list[float], trials: Sequence[Trial]) -> None:
    style.bare(ax, grid="y")
    top = _top(trials)
    whole = [(at, min(t.loss_bpb, top)) for at, t in zip(x, trials, strict=True) if t.state != "pruned"]
    early = [(at, min(t.loss_bpb, top)) for at, t in zip(x, trials, strict=True) if t.state == "pruned"]
    best = list(accumulate((loss for _, loss in whole), min))
    ax.axhline(trials[0].loss_bpb, color=style.GREY, linestyle="--", linewidth=1, label="base")
    ax.plot(*_columns(whole), "o", color=style.BLUE, markersize=4, label="trial")
    ax.plot(
        *_columns(early), "o", color=style.BLUE, markersize=4, markerfacecolor="none", label="stopped early"
    )
    ax.step([at for at, _ in whole], best, where="post", color=style.VERMILION, label="best so far")


def _columns(points: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [at for at, _ in points], [loss for _, loss in points]


def _top(trials: Sequence[Trial]) -> float:
    """Losses above it would flatten all others."""
    best = min(trial.loss_bpb for trial in trials)
    return max(best + 4 * max(trials[0].loss_bpb - best, 0.05 * best), trials[0].loss_bpb)
