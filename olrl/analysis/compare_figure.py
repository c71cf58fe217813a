"""Several entrants over one stream as a figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from olrl.analysis import style
from olrl.analysis.figures import batch_axis, rate_axis, window_axis
from olrl.analysis.records import UNIFORM_BPB, smooth, smoothing
from olrl.control.decision import WINDOWS

# Told apart by dashes too once the colours are used up; black is the reference's.
COLOURS = (style.BLUE, style.VERMILION, style.GREEN, style.ORANGE, style.PURPLE, style.SKY)
REFERENCE: dict[str, Any] = {"color": style.BLACK, "linewidth": 1.1, "linestyle": "-", "zorder": 2}


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One entrant's rounds; each sequence has one value a round.

    `loss_bpb` is the loss before training, bits per byte (NaN where it was not finite; drawn as 8). The
    decisions may be left out; `update` tells rounds in which it trained from others, and all of them did without
    it. `highlight` draws it wider and on top; decisions are shown of highlighted entrants only.
    """

    loss_bpb: ArrayLike
    lr: ArrayLike | None = None
    batch_size: ArrayLike | None = None
    window: ArrayLike | None = None
    update: ArrayLike | None = None
    highlight: bool = False


def figure_compare(
    curves: Mapping[str, Curve],
    *,
    title: str = "",
    segments: Sequence[tuple[int, str]] = (),
    alarms: Sequence[int] = (),
    reference: str | None = None,
    smooth_rounds: int | None = None,
    unit: str = "byte",
) -> Figure:
    """Smoothed loss of each entrant, in the order given, above the decisions of the highlighted ones.

    With a `reference`, one of the entrants, the first panel shows its loss and that of the highlighted ones only,
    and a second one everybody's smoothed loss against its, in per cent: where losses lie between 2 and 5 bits,
    differences of hundredths show in no other way. `segments` are the true changes as (first round, name of the
    source), `unit` what a loss is of, `alarms` rounds with a drift alarm. Raises ValueError when there is no
    curve, their lengths differ, or the reference is none of them.
    """
    losses = {name: _charged(curve.loss_bpb) for name, curve in curves.items()}
    lengths = {len(loss) for loss in losses.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(
            f"entrants to compare need the same number of rounds, at least 1; got {sorted(lengths)}"
        )
    if reference is not None and reference not in curves:
        raise ValueError(f"the reference is one of the entrants {', '.join(curves)}, not {reference!r}")
    steered = {name: curve for name, curve in curves.items() if curve.highlight and curve.lr is not None}
    losses_panels = (3.6,) if reference is None else (2.0, 2.8)
    figure, axes = style.panels((*losses_panels, 1.15, 1.15, 1.35) if steered else losses_panels)
    n = lengths.pop()
    over = smooth_rounds or smoothing(n)
    ordered = sorted(curves, key=lambda name: (name == reference, not curves[name].highlight))
    places = {name: k for k, name in enumerate(ordered)}
    if segments:
        style.bands(axes, [float(start) for start, _ in segments], float(n), [name for _, name in segments])
    for name, loss in losses.items():
        if reference is None or name == reference or curves[name].highlight:
            line = REFERENCE if name == reference else _line(places[name], highlight=curves[name].highlight)
            axes[0].plot(smooth(loss, rounds=over), label=name, **line)
    if reference is not None:
        smoothed = {name: smooth(loss, rounds=3 * over) for name, loss in losses.items()}
        against = {
            n: 100 * (loss / smoothed[reference] - 1) for n, loss in smoothed.items() if n != reference
        }
        _relative(axes[1], against, curves, places)
        axes[1].set_ylabel(f"loss against {reference},\n% ({3 * over} rounds)", fontsize=9)
    for k, alarm in enumerate(alarms):
        label = "drift alarm" if k == 0 else "_"
        axes[0].axvline(alarm, color=style.GREY, linewidth=0.7, linestyle=":", zorder=1, label=label)
    axes[0].set_ylabel(f"loss before training,\nsmoothed ({over} rounds;\nbits per {unit})", fontsize=9)
    if steered:
        _decisions(axes[len(losses_panels) :], steered, places)
    axes[-1].set_xlabel("round")
    axes[-1].set_xlim(0, n)
    figure.align_ylabels(axes)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    handles = {
        label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower left", ncols=6, frameon=False, fontsize=8.5
    )
    return figure


def _relative(
    ax: Axes,
    percent: Mapping[str, NDArray[np.float64]],
    curves: Mapping[str, Curve],
    places: Mapping[str, int],
) -> None:
    """Losses against the reference's; what lies far from all others, as one that never trains, leaves the panel.

    Highlighted ones never do: where they lose is what a reader must see.
    """
    every = (float(np.quantile(np.abs(drawn), 0.95)) for drawn in percent.values())
    reach = sorted(reach for reach in every if reach > 0.1)  # some entrants are the reference in all but name
    middle = reach[len(reach) // 2] if reach else 0.0
    whole = (float(np.abs(drawn).max()) for name, drawn in percent.items() if curves[name].highlight)
    limit = max(1.0, 1.3 * middle, *(1.1 * r for r in reach if r < 2.5 * middle), *(1.05 * r for r in whole))
    for name, drawn in percent.items():
        ax.plot(drawn, label=name, **_line(places[name], highlight=curves[name].highlight))
    ax.axhline(0, **REFERENCE)
    ax.set_ylim(-limit, limit)


def _charged(values: ArrayLike) -> NDArray[np.float64]:
    loss = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(loss), loss, UNIFORM_BPB)


def _line(k: int, *, highlight: bool) -> dict[str, Any]:
    width, order = (2.3, 4) if highlight else (1.1, 3)
    dash = style.DASHES[k // len(COLOURS) % len(style.DASHES)]
    return {"color": COLOURS[k % len(COLOURS)], "linestyle": dash, "linewidth": width, "zorder": order}


def _decisions(axes: Sequence[Axes], steered: Mapping[str, Curve], places: Mapping[str, int]) -> None:
    rate, batch, window = axes
    sizes: list[NDArray[np.float64]] = []
    for name, curve in steered.items():
        line = _line(places[name], highlight=False)
        for ax, values in ((rate, curve.lr), (batch, curve.batch_size), (window, curve.window)):
            if values is None:
                continue
            drawn = np.asarray(values, dtype=np.float64)
            if ax is window:
                drawn = np.array([WINDOWS.index(int(value)) for value in drawn], dtype=np.float64)
            if ax is batch:
                sizes.append(drawn)
            ax.step(np.arange(len(drawn)), drawn, where="post", **line)
        if curve.update is not None:
            _pauses(rate, np.asarray(curve.update, dtype=bool), line["color"])
    rate_axis(rate)
    batch_axis(batch, np.concatenate(sizes) if sizes else np.array([1.0, 64.0]))
    window_axis(window)


def _pauses(ax: Axes, update: NDArray[np.bool_], colour: str) -> None:
    """A bar along the lower edge for every stretch of rounds without training."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], update, [True]])))
    for k, (start, end) in enumerate(edges.reshape(-1, 2)):
        label = "no training" if k == 0 else "_"
        ax.axvspan(start, end, ymax=0.12, color=colour, linewidth=0, zorder=3, label=label)
