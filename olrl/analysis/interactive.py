"""One run as a figure to zoom into: the same panels as `figures`, with what was saved and regretted (plotly)."""

from html import escape
from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from olrl.analysis import style
from olrl.analysis.figures import segment_starts
from olrl.analysis.privacy import WITHHELD_SHORT
from olrl.analysis.records import RunRecords
from olrl.control.decision import WINDOWS

MAX_NAMED = 40  # segments whose source is written above them: more lie over one another
FONT = "system-ui, sans-serif"


def run_figure(run: RunRecords, *, reference: str = "") -> go.Figure:
    """Loss, what happened, learning rate, batch size, window, saved compute, and regret where it is known.

    Panels share their rounds. A drift alarm is a vertical line through all of them and a mark, with its
    detectors, in the panel of events; so are the guard's interventions, rounds without training, and losses that
    were not finite. Of a run with differential privacy there is no loss to draw. `reference` names the run that
    regret is against. Names of sources and reasons are shown as they are, never as markup.
    """
    titles = ["loss, bits/byte", "events", "learning rate", "batch size", "window", "saved, %"]
    heights = [3.2, 1.0, 1.3, 1.0, 1.4, 1.0]
    if run.regret_bpb is not None:
        titles.append("regret, bits/byte")
        heights.append(1.3)
    figure = make_subplots(rows=len(titles), shared_xaxes=True, vertical_spacing=0.018, row_heights=heights)
    for row, title in enumerate(titles, start=1):
        figure.update_yaxes(title_text=title, title_font_size=11, row=row, col=1)
    _segments(figure, run)
    _loss(figure, run, reference)
    _events(figure, run)
    _knobs(figure, run)
    _running(figure, run)
    figure.update_xaxes(range=[run.round[0], run.round[-1] + 1], gridcolor="#eeeeee")
    figure.update_xaxes(title_text="round", row=len(titles), col=1)
    figure.update_yaxes(gridcolor="#e3e3e3", zeroline=False)
    figure.update_layout(
        height=90 + int(85 * sum(heights)), hovermode="x unified", hoversubplots="axis",
        legend={"orientation": "h", "y": -0.08, "yanchor": "top"},
        **{**PLAIN, "margin": {**PLAIN["margin"], "b": 130}},
    )  # fmt: skip
    return figure


PLAIN: dict[str, Any] = {
    "plot_bgcolor": "white",
    "paper_bgcolor": "white",
    "font": {"family": FONT, "size": 12},
    "margin": {"l": 75, "r": 15, "t": 60, "b": 45},
}


def _line(figure: go.Figure, run: RunRecords, values: NDArray[Any], row: int, **look: Any) -> None:
    """A line of one value a round kept, in four bytes each."""
    figure.add_trace(
        go.Scatter(x=_rounds(run.round), y=values.astype(np.float32), mode="lines", **look), row=row, col=1
    )


def _rounds(rounds: NDArray[np.int64]) -> NDArray[Any]:
    return rounds.astype(np.int32)


def _loss(figure: go.Figure, run: RunRecords, reference: str) -> None:
    if run.private:
        figure.update_yaxes(showticklabels=False, row=1, col=1)
        figure.add_annotation(
            text=WITHHELD_SHORT, x=0.5, y=0.5, xref="x domain", yref="y domain", showarrow=False,
            font={"color": style.DARK},
        )  # fmt: skip
        return
    smoothed, over = run.smoothed()
    _line(figure, run, run.loss_bpb, 1, name="loss of each chunk", line={"color": style.SKY, "width": 0.7})
    if run.reference_bpb is not None:
        look = {"color": style.BLACK, "width": 1.4, "dash": "dot"}
        _line(figure, run, run.reference_bpb, 1, name=f"{escape(reference)}, smoothed", line=look)
    name = f"smoothed ({over} rounds)"
    _line(figure, run, smoothed, 1, name=name, line={"color": style.BLUE, "width": 2})


def _events(figure: go.Figure, run: RunRecords) -> None:
    """Marks on lanes of their own; what is said of each is shown under the mouse."""
    lanes: dict[str, tuple[dict[int, str], str, str]] = {
        "drift alarm": ({k: ", ".join(names) for k, names in run.drift.items()}, style.VERMILION, "line-ns-open"),
        "guard intervened": (run.guard, style.PURPLE, "triangle-down"),
        "no training": (dict.fromkeys(np.flatnonzero(~run.update).tolist(), ""), style.GREY, "line-ns-open"),
        "loss not finite": (
            dict.fromkeys(np.flatnonzero(run.loss_is_lost).tolist(), ""), style.BLACK, "x",
        ),
    }  # fmt: skip
    for name, (found, colour, symbol) in lanes.items():
        if not found:
            continue
        rows = sorted(found)
        figure.add_trace(
            go.Scatter(
                x=_rounds(run.round[rows]), y=[name] * len(rows), mode="markers", name=name,
                text=[escape(found[k]) or name for k in rows], hovertemplate="%{text}<extra></extra>",
                marker={"color": colour, "symbol": symbol, "size": 9, "line": {"color": colour, "width": 1.5}},
            ),
            row=2, col=1,
        )  # fmt: skip
    shown = [name for name, (found, _, _) in lanes.items() if found] or ["none"]
    figure.update_yaxes(type="category", categoryarray=shown[::-1], tickfont_size=9, row=2, col=1)
    if len(shown) == 1:
        figure.update_yaxes(range=[-0.5, 0.5], row=2, col=1)
    if run.drift:  # one path: a thousand lines of their own would take seconds to draw
        x = run.round[sorted(run.drift)]
        path = " ".join(f"M{k},0 L{k},1" for k in x.tolist())
        line = {"color": style.VERMILION, "width": 0.8}
        figure.add_shape(
            type="path", path=path, xref="x", yref="paper", line=line, layer="below", opacity=0.6
        )


def _knobs(figure: go.Figure, run: RunRecords) -> None:
    places = {"lr": run.lr, "batch_size": run.batch_size, "window": run.window_index}
    for row, (knob, applied) in enumerate(places.items(), start=3):
        first = row == 3
        if run.proposed:
            line = {"shape": "hv", "color": style.ORANGE, "width": 1.2}
            look: dict[str, Any] = {"name": "proposed, not applied", "legendgroup": "proposed", "line": line}
            _line(figure, run, run.proposals(knob), row, showlegend=first, **look)
        line = {"shape": "hv", "color": style.BLUE, "width": 1.6}
        _line(figure, run, applied, row, name="in force", legendgroup="applied", showlegend=first, line=line)
    _rate_axis(figure, run.lr[run.lr > 0], row=3)
    figure.update_yaxes(type="log", tickvals=[1, 4, 16, 64], tickfont_size=9, range=[-0.2, 2.0], row=4, col=1)
    figure.update_yaxes(
        tickvals=list(range(len(WINDOWS))), ticktext=style.WINDOW_LABELS, tickfont_size=9,
        range=[-0.5, len(WINDOWS) - 0.5], row=5, col=1,
    )  # fmt: skip


def _rate_axis(figure: go.Figure, rates: NDArray[np.float64], *, row: int) -> None:
    """Logarithmic and at least a decade wide, so that a constant looks constant."""
    low, high = (float(f(np.log10(rates))) if len(rates) else -3.0 for f in (np.min, np.max))
    middle, half = (low + high) / 2, max((high - low) / 2 + 0.1, 0.5)
    digits = (1, 2, 5) if half < 0.8 else (1,)
    decades = range(int(np.floor(middle - half)), int(np.ceil(middle + half)) + 1)
    ticks = {f"{digit}e{decade}": digit * 10.0**decade for decade in decades for digit in digits}
    figure.update_yaxes(
        type="log", range=[middle - half, middle + half], tickvals=list(ticks.values()), ticktext=list(ticks),
        tickfont_size=10, row=row, col=1,
    )  # fmt: skip


def _running(figure: go.Figure, run: RunRecords) -> None:
    if run.saved_share is not None:
        line = {"color": style.GREEN, "width": 1.6}
        _line(figure, run, 100 * run.saved_share, 6, name="budget saved so far", line=line)
        low, high = float(100 * run.saved_share.min()), float(100 * run.saved_share.max())
        figure.update_yaxes(range=[min(low, 0) - 1, max(1.1 * high, 10)], row=6, col=1)
    if run.regret_bpb is not None:
        line = {"color": style.VERMILION, "width": 1.6}
        _line(figure, run, run.regret_bpb, 7, name="regret so far (below 0: better)", line=line)
        figure.add_hline(y=0, line={"color": style.BLACK, "width": 0.8}, row=7, col=1)


def _segments(figure: go.Figure, run: RunRecords) -> None:
    """The true segments shaded, and named where there are few."""
    starts, names = segment_starts(run)
    if not 1 < len(starts) <= 4 * MAX_NAMED:
        return
    for k, (a, b) in enumerate(pairwise([*starts, float(run.round[-1]) + 1])):
        if k % 2:
            figure.add_shape(
                type="rect", xref="x", yref="paper", x0=a, x1=b, y0=0, y1=1,
                fillcolor=style.BAND, line_width=0, layer="below",
            )  # fmt: skip
        if len(starts) <= MAX_NAMED and names[k] != names[k - 1]:
            figure.add_annotation(
                x=(a + b) / 2, xref="x", y=1, yref="paper", yanchor="bottom", showarrow=False,
                text=escape(names[k]), font={"size": 10, "color": style.DARK},
                textangle=0 if len(starts) < 12 else -30,
            )  # fmt: skip
