"""One run as a figure: its loss, its decisions, and what happened on the way."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from olrl.analysis import style
from olrl.analysis.privacy import WITHHELD_SHORT
from olrl.analysis.records import RunRecords, unit_of


def figure_run(run: RunRecords, *, truth: bool = True) -> Figure:
    """Loss in bits per byte above the learning rate, batch size and window of each round.

    Drift alarms are vertical lines, the guard's interventions and losses that were not finite are marks in
    the loss panel, rounds without training are marks at its foot. With `truth`, the true segments of
    streams that know them are shaded and named by their source. A long run is drawn from the rounds that an
    `Overview` keeps of it. Of a run with differential privacy there is no loss to draw, and the panel says so.
    """
    figure, axes = style.panels((2.9, 1.15, 1.15, 1.35))
    loss, rate, batch, window = axes
    rounds = run.round.astype(np.float64)
    if truth:
        _segments(axes, run)
    _loss(loss, run, rounds)
    _alarms(axes, run, rounds)
    batch_axis(batch, np.append(run.batch_size, [each["batch_size"] for each in run.proposed.values()]))
    window_axis(window)
    for ax, applied, knob in (
        (rate, run.lr, "lr"),
        (batch, run.batch_size, "batch_size"),
        (window, run.window_index, "window"),
    ):
        if run.proposed:
            line: dict[str, Any] = {"where": "post", "color": style.ORANGE, "linewidth": 1.2}
            ax.step(rounds, run.proposals(knob), label="proposed, not applied", **line)
        ax.step(rounds, applied, where="post", color=style.BLUE, linewidth=1.4)
    rate_axis(rate)
    window.set_xlabel("round")
    window.set_xlim(rounds[0], rounds[-1] + 1)
    figure.align_ylabels(axes)
    figure.suptitle(_title(run), fontsize=11, x=0.01, ha="left")
    figure.legend(*_handles(axes), loc="outside lower left", ncols=4, frameon=False, fontsize=8.5)
    return figure


def save_run_figure(run: RunRecords, path: Path) -> Path:
    """Write the figure of a run as PNG."""
    return style.save(figure_run(run), path)


def rate_axis(ax: Axes) -> None:
    """Make an axis for learning rates after they are drawn: logarithmic, at least a decade wide."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    if high / low < 10:  # so that ticks exist and a constant looks constant
        middle = (low * high) ** 0.5
        low, high = middle / 10**0.5, middle * 10**0.5
        ax.set_ylim(low, high)
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 30 else (1.0,)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0e}".replace("e-0", "e-")))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_ylabel("learning\nrate", fontsize=9)


def batch_axis(ax: Axes, sizes: NDArray[np.float64]) -> None:
    """Make an axis for batch sizes: logarithmic, ticked at powers of two, wide enough for `sizes`."""
    low, high = np.floor(np.log2(sizes.min())) - 0.5, np.ceil(np.log2(sizes.max())) + 0.5
    if high - low < 2:  # a constant shows its neighbours
        low, high = low - 0.6, high + 0.6
    ax.set_yscale("log", base=2)
    ax.set_ylim(2.0**low, 2.0**high)
    ax.yaxis.set_major_locator(FixedLocator([2.0**k for k in range(7)]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_ylabel("batch size\n(sequences)", fontsize=9)


def window_axis(ax: Axes) -> None:
    """Make an axis for places on the window ladder."""
    ax.set_ylim(-0.5, len(style.WINDOW_LABELS) - 0.5)
    ax.yaxis.set_major_locator(FixedLocator(range(0, len(style.WINDOW_LABELS))))
    ax.set_yticks(range(len(style.WINDOW_LABELS)), style.WINDOW_LABELS, fontsize=7)
    ax.set_ylabel("window\n(chunks)", fontsize=9)


def segment_starts(run: RunRecords) -> tuple[list[float], list[str]]:
    """First round of each true segment, and the source most of its chunks came from."""
    first = np.flatnonzero(np.diff(run.segment, prepend=run.segment[0] - 1))
    stops = [*first[1:], len(run)]
    names = [_commonest(run.source[a:b]) for a, b in zip(first, stops, strict=True)]
    return run.round[first].astype(float).tolist(), names


def _commonest(names: list[str]) -> str:
    return max(dict.fromkeys(names), key=names.count)


def _segments(axes: list[Axes], run: RunRecords) -> None:
    starts, names = segment_starts(run)
    if len(starts) > 1:
        style.bands(axes, starts, float(run.round[-1]) + 1, names)


def _loss(ax: Axes, run: RunRecords, rounds: NDArray[np.float64]) -> None:
    if run.private:
        ax.set_yticks([])
        ax.text(0.5, 0.5, WITHHELD_SHORT, transform=ax.transAxes, ha="center", va="center", color=style.DARK)
    else:
        ax.plot(rounds, run.loss_bpb, color=style.SKY, linewidth=0.6, alpha=0.8, label="loss of each chunk")
        smoothed, over = run.smoothed()
        ax.plot(rounds, smoothed, color=style.BLUE, linewidth=1.7, label=f"smoothed ({over} rounds)")
    ax.set_ylabel(f"loss before training\n(bits per {unit_of(run.config)})", fontsize=9)
    foot = ax.get_xaxis_transform()
    marks = {"no training": (~run.update, "|", style.BLACK, 0.015)}
    guarded = np.isin(np.arange(len(run)), list(run.guard))
    marks["guard intervened"] = (guarded, "v", style.PURPLE, 0.97)
    marks["loss not finite"] = (run.loss_is_lost, "x", style.BLACK, 0.90)
    for label, (where, marker, colour, height) in marks.items():
        if where.any():
            x = rounds[where]
            ax.plot(
                x,
                np.full(len(x), height),
                marker,
                color=colour,
                markersize=5,
                transform=foot,
                label=label,
                zorder=4,
            )


def _alarms(axes: list[Axes], run: RunRecords, rounds: NDArray[np.float64]) -> None:
    if not run.drift:
        return
    for ax in axes:  # one collection an axis: a thousand lines of their own would take seconds to draw
        lines = LineCollection(
            [[(rounds[k], 0.0), (rounds[k], 1.0)] for k in run.drift],
            colors=style.VERMILION,
            linewidths=0.9,
            alpha=0.75,
            zorder=1,
            transform=ax.get_xaxis_transform(),
            label="drift alarm",
        )
        ax.add_collection(lines, autolim=False)


def _title(run: RunRecords) -> str:
    asked = run.config["run"]
    whole = len(run.proposed) == len(run)
    shadow = ", in shadow" if whole else ", partly in shadow" if run.proposed else ""
    names = asked["controller"], asked["model"], Path(asked["stream"]).name
    controller, model, stream = (style.shortened(str(name)) for name in names)
    return f"{controller}{shadow} steering {model} on {stream}"


def _handles(axes: list[Axes]) -> tuple[list[Any], list[str]]:
    found: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return list(found.values()), list(found)
