"""`olrl compare`: the runs, what is told of them, and the folder they are written to."""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from olrl.analysis.compare_command import compare_command
from olrl.analysis.style import save
from olrl.cli import EXIT_INTERRUPTED
from olrl.run_folder import RunFolder

from ..bars import Bars
from ..fingerprint import text_sha256
from ..workers.base import Workers
from .compare import CompareConfig, Outcome, compare, corpus_of
from .entrants import ENTRANTS
from .events import write_events, write_summary
from .example import examples_of
from .results import corpus_warning, write_results
from .summary import summarise
from .tables import (
    DIFFERENCES,
    KINDS,
    LOSSES,
    SCORES,
    difference_table,
    kind_table,
    loss_table,
    markdown,
    privileges_told,
    score_table,
)


def compare_and_tell(
    config: CompareConfig, *, out: Path, resume: bool, bars: Bars, workers: Workers | None = None
) -> Outcome:
    """Compare, write results.json, report.md and figures, and print the table.

    The `workers` are this machine's cores unless others are given.
    """
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
        outcome = compare(config, cache=folder.path / "cache", progress=progress, workers=workers)
    except ChildProcessError as error:
        raise ChildProcessError(f"{error}; the runs made so far are kept: {_again(out)}") from error
    except (ValueError, TypeError, OSError):
        if not resume and not list(folder.path.glob("cache/*")):
            folder.discard()  # a mistake in the options: nothing was run
        raise
    except KeyboardInterrupt:
        bars.say(f"Stopped; the runs made so far are kept: {_again(out)}")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    write_results(outcome, folder.path / "results.json")
    write_events(outcome, folder.path / "tensorboard")
    figures = write_figures(outcome, folder.figures)
    summary = summarise(outcome.rows())
    report = _report(outcome, summary, figures)
    (folder.path / "report.md").write_text(report, encoding="utf-8")
    write_summary(folder.path / "tensorboard" / "comparison", report, figures)
    for table in tables(summary, config.base_lr_mult, units=units_of(outcome)):
        bars.console.print(table)
    bars.say(f"Results, report and figures are in {folder.path}")
    return outcome


def _again(out: Path) -> str:
    return f"give the same options with --out {out} --resume"


def _folder(config: CompareConfig, out: Path, *, resume: bool, say: Callable[[str], None]) -> RunFolder:
    settings = _settings(config)
    corpus = corpus_of(config)
    told = {**settings, "corpus_sha256": corpus, "text_sha256": text_sha256(config.stream)}
    if not resume:
        folder = RunFolder.create(out)
        folder.write_config(told)
        return folder
    folder = RunFolder.open(out)
    given = folder.read_config()
    if given.get("command") != "compare":
        raise ValueError(f"{out} is not the folder of an olrl compare")
    changed = sorted(name for name in settings if settings[name] != given.get(name))
    if changed:
        name = changed[0]
        raise ValueError(
            f"--resume with {name} {settings[name]!r:.200}, but the comparison in {out} was started with "
            f"{given.get(name)!r:.200}: give all options as they were"
        )
    if "text_sha256" in given and given["text_sha256"] != told["text_sha256"]:
        raise ValueError(
            f"--resume with another text in {config.stream} than the comparison in {out} was made with: put back "
            "what was there, or start anew with another --out"
        )
    if warning := corpus_warning(given.get("corpus_sha256"), corpus):
        say(f"{warning} All runs are made again.")
        folder.write_config(told)
    return folder


def _settings(config: CompareConfig) -> dict[str, Any]:
    """As config.json holds them."""
    settings: dict[str, Any] = json.loads(json.dumps({"command": "compare", **asdict(config)}))
    return settings


def units_of(outcome: Outcome) -> set[str]:
    """What the losses of a comparison are of: "byte", "label", or both."""
    return {trace.loss_unit for _, trace in outcome.runs}


def tables(
    summary: list[dict[str, Any]], mults: Sequence[float], *, units: Collection[str] = ("byte",)
) -> list[Table]:
    """What is printed: losses and cost, and differences with their 95 % intervals."""
    drawn = []
    for title, (heads, rows) in _told(summary, mults, units):
        if rows:
            table = Table(title=title)
            for k, head in enumerate(heads):
                table.add_column(head, justify="right" if k else "left")
            for row in rows:
                table.add_row(*row)
            drawn.append(table)
    return drawn


def _told(
    summary: list[dict[str, Any]], mults: Sequence[float], units: Collection[str]
) -> list[tuple[str, tuple[list[str], list[list[str]]]]]:
    return [
        (LOSSES.replace("bits per byte", _per(units)), loss_table(summary, mults)),
        (DIFFERENCES, difference_table(summary)),
        (KINDS, kind_table(summary)),
        (SCORES, score_table(summary)),
    ]


def _per(units: Collection[str]) -> str:
    if len(units) > 1:
        return "a mean over bits per byte and bits per label, which means nothing: look at the differences"
    return f"bits per {next(iter(units), 'byte')}"


def _report(outcome: Outcome, summary: list[dict[str, Any]], figures: list[Path]) -> str:
    config = outcome.config
    streams = sorted({job.stream.name for job, _ in outcome.runs})
    privileges = privileges_told(config.controllers)
    policies = f", {len(config.policies)} policies" if len(config.policies) > 1 else ""
    lines = [
        "# Comparison",
        "",
        f"Mean over {len(streams)} streams of {config.rounds} rounds{policies}; model `{config.model}`, base rate "
        f"{outcome.base.lr:g}, batch size {outcome.base.batch_size}, window {outcome.base.window}, price "
        f"{config.price:g}.",
        "",
    ]
    for title, (heads, rows) in _told(summary, config.base_lr_mult, units_of(outcome)):
        lines += [title + ".", "", *markdown(heads, rows)] if rows else []
    lines += [
        *(f"- `{name}`: {ENTRANTS[name].description}" for name in config.controllers),
        "",
        *(["Privileges that are declared.", "", *privileges, ""] if privileges else []),
        *(f"![{figure.stem}](figures/{figure.name})" for figure in figures),
        "",
        "To run it again:",
        "",
        "```sh",
        compare_command(_settings(config)),
        "```",
        "",
    ]
    return "\n".join(lines)


def write_figures(outcome: Outcome, folder: Path) -> list[Path]:
    """One figure per kind of drift: the first such stream."""
    paths = []
    for example in examples_of(outcome):
        file = "".join(c if c.isalnum() else "-" for c in example.kind)
        paths.append(save(example.figure(), folder / f"{file}.png"))
    return paths
