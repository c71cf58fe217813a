"""`olrl compare`: the runs, what is told of them, and the folder they are written to."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
from .compare import OF_EACH_POLICY, CompareConfig, Outcome, compare, corpus_of
from .entrants import ENTRANTS
from .events import write_events
from .play import Trace
from .results import corpus_warning, write_results
from .summary import summarise
from .tables import difference_table, loss_table, markdown, score_table

DIFFERENCES = "Difference of loss in per cent (interquartile mean, 95 % interval; negative is better)"
SCORES = "Normalised score (95 % interval): 0 is fixed, 1 the best constant of every segment"


def compare_and_tell(config: CompareConfig, *, out: Path, resume: bool, bars: Bars) -> Outcome:
    """Compare, write results.json, report.md and figures, and print the table."""
    folder = _folder(config, out, resume=resume, say=bars.say)
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
    for table in tables(summary, config.base_lr_mult):
        bars.console.print(table)
    bars.say(f"Results, report and figures are in {folder.path}")
    return outcome


def _folder(config: CompareConfig, out: Path, *, resume: bool, say: Callable[[str], None]) -> RunFolder:
    settings = json.loads(json.dumps({"command": "compare", **asdict(config)}))
    corpus = corpus_of(config)
    if not resume:
        folder = RunFolder.create(out)
        folder.write_config({**settings, "corpus_sha256": corpus})
        return folder
    folder = RunFolder.open(out)
    given = folder.read_config()
    changed = sorted(name for name in settings if settings[name] != given.get(name))
    if changed:
        raise ValueError(f"--resume with another {changed[0]} than the comparison in {out} was started with")
    if warning := corpus_warning(given.get("corpus_sha256"), corpus):
        say(f"{warning} All runs are made again.")
        folder.write_config({**settings, "corpus_sha256": corpus})
    return folder


def tables(summary: list[dict[str, Any]], mults: Sequence[float]) -> list[Table]:
    """What is printed: losses and cost, and differences with their 95 % intervals."""
    drawn = []
    for title, (heads, rows) in _told(summary, mults):
        if rows:
            table = Table(title=title)
            for k, head in enumerate(heads):
                table.add_column(head, justify="right" if k else "left")
            for row in rows:
                table.add_row(*row)
            drawn.append(table)
    return drawn


def _told(
    summary: list[dict[str, Any]], mults: Sequence[float]
) -> list[tuple[str, tuple[list[str], list[list[str]]]]]:
    return [
        (
            "Prequential loss, bits per byte (lower is better), and cost units spent",
            loss_table(summary, mults),
        ),
        (DIFFERENCES, difference_table(summary)),
        (SCORES, score_table(summary)),
    ]


def _report(outcome: Outcome, summary: list[dict[str, Any]], figures: list[Path]) -> str:
    config = outcome.config
    streams = sorted({job.stream.name for job, _ in outcome.runs})
    policies = f", {len(config.policies)} policies" if len(config.policies) > 1 else ""
    lines = [
        "# Comparison",
        "",
        f"Mean over {len(streams)} streams of {config.rounds} rounds{policies}; model `{config.model}`, base rate "
        f"{outcome.base.lr:g}, batch size {outcome.base.batch_size}, window {outcome.base.window}, price "
        f"{config.price:g}.",
        "",
    ]
    for title, (heads, rows) in _told(summary, config.base_lr_mult):
        lines += [title + ".", "", *markdown(heads, rows)] if rows else []
    lines += [
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
            and (job.entrant not in OF_EACH_POLICY or job.policy == outcome.config.policies[0])
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
