"""`olrl compare`: the runs, what is told of them, and the folder they are written to."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from matplotlib.figure import Figure
from rich.table import Table

from olrl.analysis.compare_figure import Curve, figure_compare
from olrl.analysis.style import save
from olrl.cli import EXIT_INTERRUPTED
from olrl.run_folder import RunFolder

from ..bars import Bars
from .compare import CompareConfig, Outcome, compare, summarise, write_results
from .entrants import ENTRANTS
from .events import write_events
from .play import Trace


def compare_and_tell(config: CompareConfig, *, out: Path, resume: bool, bars: Bars) -> Outcome:
    """Compare, write results.json, report.md and figures, and print the table."""
    folder = _folder(config, out, resume=resume)
    bars.part("comparison", 1)
    started = False

    def progress(done: int, total: int) -> None:
        nonlocal started
        if not started:
            bars.part("comparison", total)
            started = True
        bars.step(done)

    try:
        outcome = compare(config, cache=folder.path / "cache", progress=progress)
    except (ValueError, TypeError, OSError):
        if not resume and not list(folder.path.glob("cache/*")):
            folder.discard()  # a mistake in the options: nothing was run
        raise
    except KeyboardInterrupt:
        bars.say(f"Stopped; the runs made so far are kept: give the same options with --out {out} --resume")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    write_results(outcome, folder.path / "results.json")
    write_events(outcome, folder.path / "tensorboard")
    figures = write_figures(outcome, folder.figures)
    summary = summarise(outcome.rows())
    (folder.path / "report.md").write_text(_report(outcome, summary, figures), encoding="utf-8")
    bars.console.print(table(config, summary))
    bars.say(f"Results, report and figures are in {folder.path}")
    return outcome


def _folder(config: CompareConfig, out: Path, *, resume: bool) -> RunFolder:
    settings = json.loads(json.dumps({"command": "compare", **asdict(config)}))
    if not resume:
        folder = RunFolder.create(out)
        folder.write_config(settings)
        return folder
    folder = RunFolder.open(out)
    given = {name: value for name, value in folder.read_config().items() if name != "format"}
    changed = sorted(name for name in settings if settings[name] != given.get(name))
    if changed:
        raise ValueError(f"--resume with another {changed[0]} than the comparison in {out} was started with")
    return folder


def table(config: CompareConfig, summary: list[dict[str, Any]]) -> Table:
    """Loss and cost of each entrant; one column of losses a base multiplier."""
    mults = config.base_lr_mult
    drawn = Table(title="Prequential loss, bits per byte (lower is better), and cost units spent")
    drawn.add_column("controller")
    for mult in mults:
        drawn.add_column(f"base lr x{mult:g}", justify="right")
    drawn.add_column("spent", justify="right")
    drawn.add_column("diverged", justify="right")
    for name, cells in _cells(config, summary):
        drawn.add_row(name, *cells)
    return drawn


def _cells(config: CompareConfig, summary: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    rows: list[tuple[str, list[str]]] = []
    for name in config.controllers:
        mine = [entry for entry in summary if entry["controller"] == name]
        losses = {entry["base_lr_mult"]: f"{entry['loss_bpb']:.4f}" for entry in mine}
        cells = [losses[mult] if ENTRANTS[name].uses_base else losses[None] for mult in config.base_lr_mult]
        spent = sum(entry["spent"] for entry in mine) / len(mine)
        diverged = sum(entry["diverged"] for entry in mine)
        rows.append((name, [*cells, f"{spent:,.0f}", str(diverged)]))
    return rows


def _report(outcome: Outcome, summary: list[dict[str, Any]], figures: list[Path]) -> str:
    config = outcome.config
    heads = ["controller", *(f"base lr ×{mult:g}" for mult in config.base_lr_mult), "spent", "diverged"]
    streams = sorted({job.stream.name for job, _ in outcome.runs})
    lines = [
        "# Comparison",
        "",
        f"Prequential loss in bits per byte (lower is better), mean over {len(streams)} streams of "
        f"{config.rounds} rounds; model `{config.model}`, base rate {outcome.base.lr:g}, batch size "
        f"{outcome.base.batch_size}, window {outcome.base.window}, price {config.price:g}. "
        "Spent: mean cost units a run.",
        "",
        "| " + " | ".join(heads) + " |",
        "|" + "---|" * len(heads),
        *(f"| {name} | " + " | ".join(cells) + " |" for name, cells in _cells(config, summary)),
        "",
        *(f"- `{name}`: {ENTRANTS[name].description}" for name in config.controllers),
        "",
        *(f"![{figure.stem}](figures/{figure.name})" for figure in figures),
        "",
    ]
    return "\n".join(lines)


def write_figures(outcome: Outcome, folder: Path) -> list[Path]:
    """One figure per kind of drift: the first such stream, at the base multiplier nearest to 1."""
    mult = min(outcome.config.base_lr_mult, key=lambda m: abs(m - 1))
    shown: dict[str, str] = {}  # kind -> stream
    for job, _ in outcome.runs:
        shown.setdefault(job.stream.kind, job.stream.name)
    paths = []
    for kind, stream in shown.items():
        traces = {
            job.entrant: trace
            for job, trace in outcome.runs
            if job.stream.name == stream
            and job.seed == outcome.config.seed
            and (job.base_lr_mult == mult or not ENTRANTS[job.entrant].uses_base)
        }
        figure = figure_of(traces, title=f"{kind} drift: {stream}, base rate x{mult:g}")
        file = "".join(c if c.isalnum() else "-" for c in kind)
        paths.append(save(figure, folder / f"{file}.png"))
    return paths


def figure_of(traces: Mapping[str, Trace], *, title: str) -> Figure:
    """Entrants on one stream, the policies' decisions below, true drift marked."""
    curves = {
        name: Curve(
            loss_bpb=trace.loss_bpb,
            lr=trace.lr,
            batch_size=trace.batch_size,
            window=trace.window,
            highlight=name in ("policy", "default"),
        )
        for name, trace in traces.items()
    }
    some = next(iter(traces.values()))
    return figure_compare(curves, title=title, segments=segments_of(some))


def segments_of(trace: Trace) -> list[tuple[int, str]]:
    """First round of each true segment and the source that most of its rounds came from."""
    numbers = sorted(set(trace.segment))
    rounds = {n: [k for k, segment in enumerate(trace.segment) if segment == n] for n in numbers}
    return [(of[0], Counter(trace.source[k] for k in of).most_common(1)[0][0]) for of in rounds.values()]
