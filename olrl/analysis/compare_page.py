"""A comparison's results.json as an HTML page: losses, differences with their intervals, cost."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from olrl.analysis import style
from olrl.analysis.compare_command import compare_command, left_out
from olrl.analysis.page import Page, Section, write_page
from olrl.analysis.report import settings
from olrl.run_folder import RunFolder

if TYPE_CHECKING:
    import plotly.graph_objects as go

Entry = Mapping[str, Any]


def write_compare_page(folder: RunFolder) -> Path:
    """Write `report.html` of a comparison; ValueError where its results are damaged, ImportError without plotly."""
    return write_page(compare_page(folder, read_results(folder.results)), folder.page)


def read_results(path: Path) -> dict[str, Any]:
    """A results.json with its runs and their summary; ValueError, in one sentence, for anything else."""
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        summary = results["summary"]
        if not (summary and isinstance(summary, list) and isinstance(results["runs"], list)):
            raise ValueError("its summary is no list of entrants")
        for entry in summary:
            label(entry), float(entry["loss_bpb"]), float(entry["spent"]), entry["kinds"], entry["against"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no results.json of olrl compare: {error}") from error
    return dict(results)


def label(entry: Entry) -> str:
    """An entrant's name with the factor on its base rate, where that is not 1.

    >>> label({"controller": "base", "base_lr_mult": 8.0}), label({"controller": "never", "base_lr_mult": None})
    ('base ×8', 'never')
    """
    mult = entry["base_lr_mult"]
    return str(entry["controller"]) if mult in (None, 1.0) else f"{entry['controller']} ×{mult:g}"


def compare_page(folder: RunFolder, results: Mapping[str, Any]) -> Page:
    """What a comparison came to, in figures and tables."""
    summary, runs, config = results["summary"], results["runs"], folder.read_config()
    compared = [
        entry
        for entry in summary
        if entry["against"] and entry["against"]["controller"] != entry["controller"]
    ]
    best = min(summary, key=lambda entry: entry["loss_bpb"])
    heads, rows = _kinds(compared)
    diverged = sum(entry["diverged"] for entry in summary)
    streams = {(run["suite"], run["stream"]) for run in runs}
    pictures = sorted(folder.figures.glob("*.png")) if folder.figures.is_dir() else []
    weighed = _costs_differ(summary)
    sections = [
        Section(
            title="Differences of loss",
            text="Interquartile mean over streams of the loss against that of the rival, per cent, with its 95 % "
            "interval; below 0 is better. An interval that crosses 0 does not tell the two apart. Where there is "
            "one stream only, there is no interval. Numbers at the edge are too far off for the panel; a "
            "double-click shows all.",
            figure=differences_figure(compared) if compared else None,
            heads=("entrant", "against", "difference, %", "better on", "worst 5 %"),
            rows=[_difference(entry) for entry in compared],
        ),
        Section(title="By kind of drift", text="The same differences, per cent.", heads=heads, rows=rows),
        Section(
            title="Loss and cost",
            text="Mean over runs; cost in units, an update over B sequences is 4 + B. "
            + ("The dashed line joins what nothing beats in both." if weighed else "All cost the same."),
            figure=cost_figure(summary) if weighed else None,
            heads=("entrant", "bits per byte", "cost", "updates", "runs", "streams", "diverged"),
            rows=[_means(entry) for entry in summary],
        ),
        *([_pictures(pictures)] if pictures else []),
        Section(
            title="Every run",
            heads=RUN_HEADS,
            rows=[[_plain(run.get(name)) for name in RUN_HEADS] for run in runs],
            folded=True,
        ),
        Section(title="Versions", rows=list(results.get("versions", {}).items()), folded=True),
        Section(title="Configuration", rows=settings(config), folded=True),
        Section(title="To run it again", text=left_out(config), code=compare_command(config)),
    ]  # fmt: skip
    return Page(
        title=f"Comparison of {len({entry['controller'] for entry in summary})} entrants",
        sentence=_sentence(best, compared, len(runs), len(streams)),
        tiles=[
            ("runs", f"{len(runs):,}"),
            ("streams", f"{len(streams):,}"),
            (f"bits per byte, {label(best)}", f"{best['loss_bpb']:.4f}"),
            ("runs that diverged", f"{diverged:,}"),
        ],
        sections=[each for each in sections if each.rows or each.pictures or each.code],
    )


RUN_HEADS = (
    "suite", "stream", "drift_kind", "model", "controller", "policy_seed", "seed", "base_lr_mult", "price",
    "rounds", "loss_bpb", "metric", "spent", "updates", "signal_examples", "tuning_examples", "seconds", "diverged",
)  # fmt: skip


def _sentence(best: Entry, compared: Sequence[Entry], runs: int, streams: int) -> str:
    told = (
        f"In {runs:,} runs on {streams:,} stream{'s' * (streams != 1)} the lowest mean loss was that of "
        f"{label(best)}, {best['loss_bpb']:.4f} bits per byte at a cost of {best['spent']:,.0f} units a run."
    )
    sure = [entry for entry in compared if (entry["against"]["iqm_percent"]["high"] or 0) < 0]
    if not compared:
        return told
    if all(entry["against"]["iqm_percent"]["high"] is None for entry in compared):
        return (
            f"{told} One stream gives no intervals: whether a difference is more than chance, it cannot say."
        )
    if not sure:
        return f"{told} No entrant was better than its rival beyond its 95 % interval."
    names = ", ".join(f"{label(e)} ({_interval(e['against']['iqm_percent'], '+.2f')} %)" for e in sure)
    return f"{told} Better than {sure[0]['against']['controller']} beyond their 95 % intervals: {names}."


def differences_figure(compared: Sequence[Entry]) -> "go.Figure":
    """Each entrant's difference to its rival with its interval, over all streams and for each kind of drift."""
    import plotly.graph_objects as go

    figure = go.Figure()
    kinds = list(dict.fromkeys(kind for entry in compared for kind in entry["kinds"]))
    colours = (style.BLUE, style.VERMILION, style.GREEN, style.ORANGE, style.PURPLE, style.SKY, style.DARK)
    groups: list[tuple[str, list[Entry | None]]] = [
        ("all streams", [e["against"]["iqm_percent"] for e in compared])
    ]
    if len(kinds) > 1:
        groups += [(kind, [e["kinds"].get(kind, {}).get("iqm_percent") for e in compared]) for kind in kinds]
    # Of more, kinds are shown when asked for, and what is shown stands beside its name.
    together = len(compared) <= 8
    for k, (name, found) in enumerate(groups):
        there = [(place, one) for place, one in enumerate(found) if one is not None]
        offset = (k - (len(groups) - 1) / 2 if together else k) * 0.7 / len(groups)
        values = [one["value"] for _, one in there]
        figure.add_trace(
            go.Scatter(
                x=values, y=[place + offset for place, _ in there], name=escape(name), mode="markers",
                visible=True if k == 0 or together else "legendonly",
                marker={"color": colours[k % len(colours)], "size": 9 if k == 0 else 6},
                text=[
                    f"{escape(label(compared[place]))}, {escape(name)}: {_interval(one, '+.2f')} %"
                    for place, one in there
                ],
                hovertemplate="%{text}<extra></extra>",
                error_x={
                    "type": "data", "symmetric": False, "thickness": 1.2, "width": 3,
                    "array": [_reach(one, "high") for _, one in there],
                    "arrayminus": [_reach(one, "low") for _, one in there],
                },
            )
        )  # fmt: skip
    figure.add_vline(x=0, line={"color": style.BLACK, "width": 1})
    figure.update_yaxes(
        tickvals=list(range(len(compared))), ticktext=[escape(label(entry)) for entry in compared],
        range=[len(compared) - 0.5, -0.5], zeroline=False, gridcolor="#eeeeee", automargin=True,
    )  # fmt: skip
    shown = _range(compared)
    _off_the_panel(figure, groups[0][1], shown)
    figure.update_xaxes(
        title_text="loss against the rival's, % (below 0: better)", range=shown, gridcolor="#e3e3e3",
        zeroline=False,
    )  # fmt: skip
    figure.update_layout(height=170 + (26 + 12 * len(groups)) * len(compared), **_layout())
    return figure


def _off_the_panel(figure: "go.Figure", found: Sequence[Entry | None], shown: list[float]) -> None:
    """Say at the panel's edge what lies beyond it."""
    for place, one in enumerate(found):
        if one is None or shown[0] <= one["value"] <= shown[1]:
            continue
        beyond = one["value"] > shown[1]
        figure.add_annotation(
            x=1 if beyond else 0, xref="x domain", xanchor="right" if beyond else "left", y=place, showarrow=False,
            text=f"{one['value']:+.1f} ▸" if beyond else f"◂ {one['value']:+.1f}",
            font={"size": 11, "color": style.BLUE},
        )  # fmt: skip


def _range(compared: Sequence[Entry]) -> list[float]:
    """Wide enough for all but what lies far off, as one that never trains: it would squeeze the others."""
    ends = [
        [float(found[end]) for end in ("value", "low", "high") if found[end] is not None]
        for found in (entry["against"]["iqm_percent"] for entry in compared)
    ]
    reaches = sorted(max(map(abs, those)) for those in ends)
    near = max(reaches[len(reaches) // 2], 1.0)
    for reach in reaches:
        if reach > 4 * near:
            break
        near = max(near, reach)
    shown = [end for those in ends for end in those if abs(end) <= near]
    low, high = min(*shown, 0.0, 0.0), max(*shown, 0.0, 0.0)
    margin = max(0.15 * (high - low), 0.5)
    return [low - margin, high + margin]


def _reach(found: Entry, end: str) -> float:
    """How far an end of the interval is from the estimate, 0 where there is no interval."""
    return 0.0 if found[end] is None else abs(float(found[end]) - float(found["value"]))


def cost_figure(summary: Sequence[Entry]) -> "go.Figure":
    """Mean loss of each entrant against the mean cost of its run."""
    import plotly.graph_objects as go

    figure = go.Figure()
    front: list[Entry] = []
    for entry in sorted(summary, key=lambda entry: (entry["spent"], entry["loss_bpb"])):
        if not front or entry["loss_bpb"] < front[-1]["loss_bpb"]:
            front.append(entry)
    figure.add_trace(
        go.Scatter(
            x=[e["spent"] for e in front], y=[e["loss_bpb"] for e in front], mode="lines", hoverinfo="skip",
            line={"color": style.GREEN, "dash": "dash", "shape": "hv", "width": 1.2},
            name="nothing is better in both",
        )
    )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=[e["spent"] for e in summary], y=[e["loss_bpb"] for e in summary], mode="markers+text",
            text=_names_apart(summary), hovertext=[escape(label(entry)) for entry in summary],
            textposition=_inwards(summary), textfont_size=10, name="entrants",
            marker={"color": style.BLUE, "size": 8},
            hovertemplate="%{hovertext}: %{y:.4f} bits per byte, %{x:,.0f} units<extra></extra>", cliponaxis=False,
        )
    )  # fmt: skip
    figure.update_xaxes(title_text="cost of a run, units", gridcolor="#eeeeee", zeroline=False)
    figure.update_yaxes(title_text="bits per byte", gridcolor="#e3e3e3", zeroline=False)
    figure.update_layout(height=440, **_layout())
    return figure


def _inwards(summary: Sequence[Entry]) -> list[str]:
    """Where each name stands at its point: towards the middle of the panel, beyond whose edge it would be cut."""
    costs = [float(entry["spent"]) for entry in summary]
    middle = (min(costs) + max(costs)) / 2
    return ["middle left" if cost > middle else "top right" for cost in costs]


def _names_apart(summary: Sequence[Entry]) -> list[str]:
    """The names beside the points; those of points that nearly touch stand together at the first of them."""
    wide, high = (_spread([entry[name] for entry in summary]) for name in ("spent", "loss_bpb"))
    written: list[tuple[Entry, int]] = []
    names = [""] * len(summary)
    for k, entry in enumerate(summary):
        touching = (
            at
            for other, at in written
            if abs(other["spent"] - entry["spent"]) < 0.15 * wide
            and abs(other["loss_bpb"] - entry["loss_bpb"]) < 0.04 * high
        )
        at = next(touching, k)
        names[at] = ", ".join(name for name in (names[at], escape(label(entry))) if name)
        if at == k:
            written.append((entry, k))
    return names


def _spread(values: Sequence[float]) -> float:
    return max(values) - min(values)


def _costs_differ(summary: Sequence[Entry]) -> bool:
    """Whether there is anything to weigh against the loss."""
    costs = [float(entry["spent"]) for entry in summary]
    return _spread(costs) > 0.01 * max(costs)


def _layout() -> dict[str, Any]:
    from olrl.analysis.interactive import PLAIN

    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    return {**PLAIN, "margin": {"l": 75, "r": 110, "t": 40, "b": 50}, "legend": legend}


def _difference(entry: Entry) -> list[str]:
    found = entry["against"]
    return [
        label(entry),
        found["controller"],
        _interval(found["iqm_percent"], "+.2f"),
        _interval(found["improvement"], ".0%"),
        f"{found['worst_percent']:+.1f}",
    ]


def _kinds(compared: Sequence[Entry]) -> tuple[list[str], list[list[str]]]:
    kinds = list(dict.fromkeys(kind for entry in compared for kind in entry["kinds"]))
    if len(kinds) < 2:
        return [], []
    return ["entrant", *kinds], [
        [
            label(entry),
            *(_interval(entry["kinds"].get(kind, {}).get("iqm_percent"), "+.2f") for kind in kinds),
        ]
        for entry in compared
    ]


def _means(entry: Entry) -> list[str]:
    counts = [f"{entry[name]:,}" for name in ("runs", "streams", "diverged")]
    return [
        label(entry),
        f"{entry['loss_bpb']:.4f}",
        f"{entry['spent']:,.0f}",
        f"{entry['updates']:,.0f}",
        *counts,
    ]


def _interval(found: Entry | None, form: str) -> str:
    """An estimate with its interval.

    >>> _interval({"value": -1.234, "low": -2.0, "high": 0.5}, "+.1f")
    '-1.2 [-2.0, +0.5]'
    """
    if found is None:
        return ""
    if found["low"] is None:
        return f"{found['value']:{form}}"
    return f"{found['value']:{form}} [{found['low']:{form}}, {found['high']:{form}}]"


def _pictures(found: Sequence[Path]) -> Section:
    text = "The first stream of each kind: losses, and the decisions of policies."
    return Section(title="Examples", text=text, pictures=[(path.stem, path.read_bytes()) for path in found])


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.5g}" if isinstance(value, float) else str(value)
