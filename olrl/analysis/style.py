"""The look that all figures share: colours that colour-blind readers tell apart, thin frames, few ticks."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito (2008), "Color universal design"; yellow is left out, it is too faint for lines on white.
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, BLACK = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#000000",
)
GREY, BAND, DARK = "#8c8c8c", "#f0f0f0", "#4d4d4d"
DASHES: tuple[str, ...] = ("-", "--", "-.", ":")
WINDOW_LABELS: tuple[str, ...] = ("1", "2", "4", "8", "16", "32", "64", "reservoir")


def panels(heights: Sequence[float], *, width: float = 10.0) -> tuple[Figure, list[Axes]]:
    """A figure of panels above each other that share their rounds; heights in inches."""
    figure = Figure(figsize=(width, sum(heights) + 0.9), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=list(heights))[:, 0]
    for ax in axes:
        bare(ax, grid="y")
    return figure, list(axes)


def bare(ax: Axes, *, grid: Literal["x", "y"]) -> None:
    """Take from an axis all but two thin sides and the lines of one grid."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GREY)
    ax.tick_params(colors="#404040", labelsize=9)
    ax.grid(visible=False)
    ax.grid(axis=grid, color="#e3e3e3", linewidth=0.6)
    ax.set_axisbelow(True)


def bands(axes: Sequence[Axes], starts: Sequence[float], end: float, names: Sequence[str]) -> None:
    """Shade every second stretch, and name those that are wide enough for it, above the first panel."""
    stops = [*list(starts)[1:], end]
    for k, (start, stop, name) in enumerate(zip(starts, stops, names, strict=True)):
        if k % 2:
            for ax in axes:
                ax.axvspan(start, stop, color=BAND, linewidth=0, zorder=0)
        if (stop - start) * 130 >= (end - starts[0]) * (len(name) + 1):  # about 130 letters fit side by side
            axes[0].annotate(
                name,
                xy=((start + stop) / 2, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=8,
                color="#606060",
            )


def shortened(name: str, *, most: int = 60) -> str:
    """A name that comes from a folder, for a figure: one of a megabyte would be drawn for minutes.

    >>> shortened("nano"), shortened("x" * 1000, most=8)
    ('nano', 'xxxxxxx…')
    """
    return name if len(name) <= most else f"{name[: most - 1]}…"


def save(figure: Figure, path: Path, *, dpi: int = 130) -> Path:
    """Write a figure as PNG, creating its folder; the same figure gives the same bytes.

    A name in letters that the font lacks is drawn as boxes, and nothing said: it is the stream's, nobody's mistake.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        figure.savefig(path, dpi=dpi, facecolor="white", metadata={"Software": None})
    return path
