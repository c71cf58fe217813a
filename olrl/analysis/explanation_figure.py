"""Why a run's decisions were taken, as a figure over time."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from olrl.analysis import style
from olrl.analysis.check_rows import check_explanation
from olrl.control.explain import KNOBS
from olrl.run_folder import RunFolder, count_json_lines, iterate_json_lines

COLUMNS = 240  # stretches of a run that are told apart
SHOWN = 10  # features a knob


@dataclass(frozen=True, kw_only=True)
class Reasons:
    """For one knob the features that moved it most, the strongest first, and how in each stretch of the run.

    `values` has shape (features, stretches): means over the rounds explained there, above 0 where a feature pushed
    the knob up; NaN where none was explained. `edges` are the rounds where stretches begin, and the end.
    """

    features: tuple[str, ...]
    values: NDArray[np.float64]
    edges: NDArray[np.float64]


def read_reasons(folder: RunFolder) -> dict[str, Reasons]:
    """The reasons of each knob, read as a stream; nothing for a controller that does not explain itself.

    ValueError where a line is damaged.
    """
    if not folder.explanations.is_file() or not count_json_lines(folder.explanations):
        return {}
    last = 0
    for row in iterate_json_lines(folder.explanations):
        check_explanation(row)
        last = max(last, int(row["round"]))
    return reasons(iterate_json_lines(folder.explanations), rounds=last + 1)


def reasons(rows: Iterable[Mapping[str, Any]], *, rounds: int) -> dict[str, Reasons]:
    """The same from rows; a feature that is not among those of a row moved the knob by less, and counts as 0."""
    columns = min(COLUMNS, rounds)
    sums: dict[str, dict[str, NDArray[np.float64]]] = {knob: {} for knob in KNOBS}
    counts = np.zeros(columns)
    for row in rows:
        place = int(row["round"]) * columns // rounds
        counts[place] += 1
        for knob in KNOBS:
            for name, value in row[knob].items():
                sums[knob].setdefault(name, np.zeros(columns))[place] += value
    edges = np.ceil(np.arange(columns + 1) * rounds / columns)
    with np.errstate(invalid="ignore"):
        means = {knob: {name: total / counts for name, total in of.items()} for knob, of in sums.items()}
    found: dict[str, Reasons] = {}
    for knob, of in means.items():
        order = sorted(of, key=lambda name: -float(np.nansum(np.abs(of[name]))))[:SHOWN]
        if order:
            values = np.stack([of[name] for name in order])
            found[knob] = Reasons(features=tuple(order), values=values, edges=edges)
    return found


def figure_reasons(found: Mapping[str, Reasons], *, alarms: Iterable[int] = ()) -> Figure:
    """A map for each knob, features by rounds: red pushed it up, blue down; drift alarms are ticks above it."""
    figure, axes = style.panels([max(0.9, 0.32 + 0.19 * len(one.features)) for one in found.values()])
    marked = list(alarms)
    for ax, (knob, one) in zip(axes, found.items(), strict=True):
        reach = float(np.nanquantile(np.abs(one.values), 0.99)) or 1.0
        colours = ax.pcolormesh(
            one.edges,
            np.arange(len(one.features) + 1) - 0.5,
            one.values,
            cmap="RdBu_r",
            vmin=-reach,
            vmax=reach,
        )
        ax.grid(visible=False)
        names = [style.shortened(name) for name in one.features]
        ax.set_yticks(range(len(names)), names, fontsize=7)
        ax.invert_yaxis()
        up = "train" if knob == "update" else f"{knob} up"
        ax.set_title(
            f"{up} (red) or {'skip' if knob == 'update' else 'down'} (blue)", fontsize=8.5, loc="left"
        )
        figure.colorbar(colours, ax=ax, pad=0.01, aspect=10).ax.tick_params(labelsize=7)
        ax.plot(
            marked,
            [1.02] * len(marked),
            "|",
            color=style.VERMILION,
            transform=ax.get_xaxis_transform(),
            in_layout=False,  # else an empty line of marks has no place, and the layout none either
            clip_on=False,
        )
    axes[-1].set_xlabel("round (ticks above: drift alarms)")
    figure.suptitle("What moved the decisions (change of logits)", fontsize=11, x=0.01, ha="left")
    return figure


def save_reasons(folder: RunFolder, *, alarms: Iterable[int] = ()) -> Path | None:
    """Write the figure of a run that explains its decisions, `figures/explanations.png`; else nothing."""
    found = read_reasons(folder)
    if not found:
        return None
    return style.save(figure_reasons(found, alarms=alarms), folder.figures / "explanations.png")


def told(found: Mapping[str, Reasons], count: int = 3) -> list[tuple[str, str]]:
    """For each knob its strongest features with the share of all that was shown."""
    rows = []
    for knob, one in found.items():
        strengths = np.nan_to_num(np.abs(one.values)).sum(axis=1)
        total = float(strengths.sum()) or math.inf
        best = ", ".join(
            f"{one.features[k]} {strengths[k] / total:.0%}" for k in range(min(count, len(one.features)))
        )
        rows.append((knob, best))
    return rows
