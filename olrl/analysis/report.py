"""The report of a run: what it says, and one page of Markdown made from its folder."""

import re
import shlex
from html import escape
from pathlib import Path
from typing import Any

from olrl.analysis.explanation_figure import save_reasons
from olrl.analysis.figures import save_run_figure
from olrl.analysis.overview import Overview, read_overview
from olrl.analysis.privacy import TITLE, WITHHELD, privacy_paragraphs
from olrl.analysis.records import LABEL, RunRecords
from olrl.analysis.summary import Summary
from olrl.run_folder import RunFolder

ALL_USED = "None: every row of the stream was used."
Row = tuple[Any, ...]


def write_report(folder: RunFolder, overview: Overview | None = None) -> Path:
    """Make `report.md` and its figure anew from the other files of a run; ValueError if they are damaged.

    `overview` is that of the folder, where it was read already.
    """
    seen = overview or read_overview(folder)
    save_run_figure(seen.kept, folder.figure)
    explained = save_reasons(folder, alarms=[int(seen.kept.round[k]) for k in seen.kept.drift])
    folder.report.write_text(report(seen, explained=explained is not None), encoding="utf-8")
    return folder.report


def report(overview: Overview, *, explained: bool = False) -> str:
    """The report as Markdown; holds names of sources and classes, and reasons, never other text of the stream.

    Whatever they are called, they are shown as they are called: viewers of Markdown let HTML through.
    """
    run, summary = overview.kept, overview.summary
    parts = [
        f"# {_plain(subject(run))}",
        f"{sentence(summary)}{_plain(against(overview))} {_plain(ending(run))}",
        "![Loss and decisions of each round](figures/loss_and_decisions.png)",
        "## Results",
        _table(("", "value"), results(overview)),
        *_classes(overview),
        *([f"## {TITLE}", *promised] if (promised := privacy_paragraphs(run.config)) else []),
        "## By source",
        _table(*sources(overview)),
        "## Decisions",
        _table(*decisions(summary)),
        *(["![What moved the decisions](figures/explanations.png)"] if explained else []),
        "## Drift alarms and guard",
        _events(overview),
        "## Rows that could not be used",
        _counts(summary.dead_letters, none=ALL_USED),
        "## Configuration",
        _table(("setting", "value"), settings(run.config)),
        "## To run it again",
        _code(command(run.config)),
    ]
    return "\n\n".join(parts) + "\n"


def sentence(summary: Summary) -> str:
    """What came of a run, in one sentence."""
    loss = (
        f"**{summary.loss_bpb:.4f} bits per {summary.unit}** (first tenth {summary.first_bpb:.4f}, last tenth "
        f"{summary.last_bpb:.4f})"
    )
    return (
        f"Over {summary.rounds:,} rounds ({summary.n_bytes:,} {summary.unit}s) the prequential loss was "
        f"{WITHHELD if summary.private else loss}{_answered(summary)}, with {summary.updates:,} updates that cost "
        f"{summary.spent:,.0f} of {summary.budget:,.0f} units ({summary.spent_share:.0%} of the budget); "
        f"drift alarms were raised in {summary.alarm_rounds} of the rounds and the guard intervened in "
        f"{summary.guard_rounds}."
    )


def _answered(summary: Summary) -> str:
    if summary.accuracy is None:
        return ""
    f1 = "" if summary.answers is None else f", macro F1 {summary.answers.macro_f1:.3f}"
    return f", **{summary.accuracy:.1%}** of the answers were right{f1}"


def against(overview: Overview) -> str:
    """How it did against the reference, as the end of a sentence's neighbour; nothing where there is none."""
    if overview.reference is None or overview.regret_bpb is None:
        return ""
    worse = "more" if overview.regret_bpb > 0 else "less"
    mine, theirs, regret = overview.summary, overview.reference, abs(overview.regret_bpb)
    return (
        f" Against {overview.reference_name}, on the same chunks, it paid {regret:.4f} bits per {mine.unit} "
        f"{worse} ({regret / theirs.loss_bpb:.1%} of {theirs.loss_bpb:.4f}) and spent {mine.spent:,.0f} units "
        f"where that one spent {theirs.spent:,.0f}."
    )


def ending(run: RunRecords) -> str:
    """Why it is over, as a sentence."""
    return f"It ended because {run.ended}." if run.ended else "It has not come to its end."


def command(config: dict[str, Any]) -> str:
    """The command line that does a run again, apart from its folder."""
    words = ["olrl", "run"]
    for name, value in config["run"].items():
        if name in ("out", "checkpoint_every") or value is None or value is False:
            continue
        words.append(f"--{name.replace('_', '-')}")
        if value is not True:
            words.append(str(value))
    return shlex.join(words)


def subject(run: RunRecords) -> str:
    """What steered what on what."""
    asked = run.config["run"]
    shadow = " in shadow" if asked.get("shadow") else ""
    return f"{asked['controller']}{shadow} on {Path(asked['stream']).name}, model {Path(asked['model']).name}"


def results(overview: Overview) -> list[Row]:
    """What came of it, a row a fact."""
    summary, reference = overview.summary, overview.reference
    unit, per = summary.unit, f"bits per {summary.unit}"
    rows: list[Row] = [
        (
            f"prequential loss, {per} (weighted by {unit}s, from round 1 on)",
            _bpb(summary, summary.loss_bpb),
        ),
        (f"first tenth of the rounds, {per}", _bpb(summary, summary.first_bpb)),
        (f"last tenth of the rounds, {per}", _bpb(summary, summary.last_bpb)),
        ("rounds", f"{summary.rounds:,}"),
        ("labels" if unit == LABEL else "bytes of text", f"{summary.n_bytes:,}"),
        ("optimizer steps", f"{summary.updates:,}"),
        ("rounds without training", f"{summary.skipped:,}"),
        ("cost spent, units", f"{summary.spent:,.0f}"),
        ("budget, units", f"{summary.budget:,.0f}"),
        ("compute saved, share of the budget", f"{1 - summary.spent_share:.1%}"),
    ]
    if summary.accuracy is not None:
        rows.append(("accuracy: share of the answers that were right", f"{summary.accuracy:.2%}"))
    if summary.answers is not None:
        rows.append(("macro F1: mean over classes", f"{summary.answers.macro_f1:.4f}"))
    if summary.reselections:
        told = ", ".join(f"{count:,} × {reason}" for reason, count in summary.reselections.items())
        rows.append(("text features chosen anew", told))
    if not summary.private:
        lost = f"rounds with a loss that was not finite (charged 8 {per})"
        rows.append((lost, f"{summary.nonfinite:,}"))
    if reference is not None:
        rows += [
            (f"loss of {overview.reference_name}, {per}", f"{reference.loss_bpb:.4f}"),
            (f"regret against it, {per} (below 0: better)", f"{overview.regret_bpb:+.4f}"),
            (f"cost of {overview.reference_name}, units", f"{reference.spent:,.0f}"),
        ]
    return rows


def sources(overview: Overview) -> tuple[Row, list[Row]]:
    """Heads and rows: loss by the source that most of a chunk came from, beside the reference's."""
    found = overview.summary.sources
    heads: Row = ("source of most of the chunk", "rounds", f"bits per {overview.summary.unit}")
    rows: list[Row] = [(s.source or "(unnamed)", s.rounds, _bpb(overview.summary, s.loss_bpb)) for s in found]
    if overview.reference is None:
        return heads, rows
    theirs = {s.source: s.loss_bpb for s in overview.reference.sources}
    more = [(f"{theirs[s.source]:.4f}", f"{s.loss_bpb - theirs[s.source]:+.4f}") for s in found]
    return (*heads, overview.reference_name, "regret"), [
        (*row, *two) for row, two in zip(rows, more, strict=True)
    ]


def _bpb(summary: Summary, value: float) -> str:
    return "withheld" if summary.private else f"{value:.4f}"


def by_class(overview: Overview) -> tuple[Row, list[Row]]:
    """Heads and rows: documents and F1 of each class; no rows where nothing was classified."""
    answers, names = overview.summary.answers, overview.kept.config.get("classes")
    names = names if isinstance(names, list) else []
    heads: Row = ("class", "documents", "F1")
    if answers is None:
        return heads, []
    return heads, [
        (names[k] if k < len(names) else k, f"{answers.documents(k):,}", f"{answers.f1(k):.3f}")
        for k in answers.classes
    ]


def _classes(overview: Overview) -> list[str]:
    heads, rows = by_class(overview)
    return ["## By class", _table(heads, rows)] if rows else []


def decisions(summary: Summary) -> tuple[Row, list[Row]]:
    """Heads and rows: the range of each knob, and how often it moved."""
    names = {"lr": "learning rate", "batch_size": "batch size, sequences", "window": "window, chunks"}
    return ("knob", "lowest", "highest", "rounds in which it moved"), [
        (names[knob], low, high, summary.moves[knob]) for knob, (low, high) in summary.ranges.items()
    ]


def _events(overview: Overview) -> str:
    if not overview.events:
        return "No alarm was raised and the guard never intervened."
    shown = _table(("round", "event", "what"), list(overview.events))
    left = overview.n_events - len(overview.events)
    return shown if left <= 0 else f"{shown}\n\n… and {left} more, in `decisions.jsonl`."


def _counts(counts: dict[str, int], *, none: str) -> str:
    return _table(("reason", "rows"), list(counts.items())) if counts else none


def settings(config: dict[str, Any], prefix: str = "") -> list[Row]:
    """Nested settings as `outer.inner` with their values; those that are None are left out."""
    rows: list[Row] = []
    for name, value in config.items():
        if isinstance(value, dict):
            rows += settings(value, f"{prefix}{name}.")
        elif value is not None:
            rows.append((f"{prefix}{name}", value))
    return rows


def _table(head: Row, rows: list[Any]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: object) -> str:
    return _plain(str(value)).replace("|", "\\|")


def _plain(text: str) -> str:
    """On one line, without markup that loads or runs something: neither HTML nor what makes a link or a picture."""
    return escape(text, quote=False).replace("](", "]\\(").replace("\n", " ")


def _code(text: str) -> str:
    """A block whose fence is longer than any in the text."""
    fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", text)), default=0))
    return f"{fence}sh\n{text}\n{fence}"
