"""The report of a run as an HTML page."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from olrl.analysis.explanation_figure import read_reasons, told
from olrl.analysis.overview import Overview
from olrl.analysis.page import Page, Section, write_page
from olrl.analysis.privacy import TITLE, privacy_paragraphs
from olrl.analysis.report import (
    ALL_USED,
    against,
    by_class,
    command,
    decisions,
    ending,
    results,
    sentence,
    settings,
    sources,
    subject,
)
from olrl.run_folder import RunFolder, iterate_json_lines

MAX_DEAD_LETTERS = 100
MAX_TEXT = 500  # characters of a rejected row that are shown where its text is asked for


def write_run_page(folder: RunFolder, overview: Overview, *, show_text: bool = False) -> Path:
    """Write `report.html`; ImportError, in one sentence, where plotly is not installed.

    `show_text` shows the text of rows that could not be used, which is there only if the run kept it.
    """
    return write_page(run_page(folder, overview, show_text=show_text), folder.page)


def run_page(folder: RunFolder, overview: Overview, *, show_text: bool = False) -> Page:
    """What `report.md` says, and a figure to zoom into."""
    from olrl.analysis.interactive import run_figure

    run, summary = overview.kept, overview.summary
    thinned = f" Of {summary.rounds:,} rounds {len(run):,} are drawn, every event's stretch among them."
    heads, by_source = sources(overview)
    knobs, ranges = decisions(summary)
    left = overview.n_events - len(overview.events)
    which = "newest" if overview.newest else "first"
    sections = [
        Section(
            title="Loss and decisions",
            text="Drag to zoom, double-click to go back, click a name to hide it. Upright lines are drift alarms."
            + (thinned if len(run) < summary.rounds else ""),
            figure=run_figure(run, reference=overview.reference_name),
        ),
        Section(title="Results", rows=results(overview)),
        *_classes(overview),
        *_privacy(overview),
        Section(title="By source", heads=heads, rows=by_source, folded=len(by_source) > 40),
        Section(title="Decisions", heads=knobs, rows=ranges),
        *_reasons(folder),
        Section(
            title="Drift alarms and guard",
            text=_events_told(overview)
            + (f" The {which} {len(overview.events)} of both:" if left > 0 else ""),
            heads=("round", "event", "what"),
            rows=overview.events[::-1] if overview.newest else overview.events,
            folded=len(overview.events) > 12,
        ),
        *_dead_letters(folder, overview, show_text=show_text),
        Section(title="Configuration", heads=("setting", "value"), rows=settings(run.config), folded=True),
        Section(title="To run it again", code=command(run.config)),
    ]
    return Page(
        title=subject(run),
        sentence=f"{sentence(summary).replace('**', '')}{against(overview)} {ending(run)}",
        tiles=_tiles(overview),
        sections=sections,
        holds_text=show_text,
    )


def _reasons(folder: RunFolder) -> Iterator[Section]:
    found = read_reasons(folder)
    picture = folder.figures / "explanations.png"
    if found and picture.is_file():
        yield Section(
            title="What moved the decisions",
            text="Integrated gradients of the policy: how much each feature added to the choice, against the "
            "average situation of its training. The strongest features of each knob, with their share:",
            pictures=[("What moved the decisions", picture.read_bytes())],
            heads=("knob", "strongest features"),
            rows=told(found),
        )


def _classes(overview: Overview) -> Iterator[Section]:
    heads, rows = by_class(overview)
    if rows:
        yield Section(title="By class", heads=heads, rows=rows)


def _privacy(overview: Overview) -> Iterator[Section]:
    promised = privacy_paragraphs(overview.kept.config)
    if promised:
        yield Section(title=TITLE, text="\n\n".join(promised).replace("**", ""))


def _tiles(overview: Overview) -> list[tuple[str, str]]:
    summary = overview.summary
    loss = [
        (f"bits per {summary.unit}, prequential", f"{summary.loss_bpb:.4f}"),
        ("first tenth → last tenth", f"{summary.first_bpb:.3f} → {summary.last_bpb:.3f}"),
    ]
    tiles = [
        *([("loss", "withheld")] if summary.private else loss),
        ("of the budget saved", f"{1 - summary.spent_share:.1%}"),
        ("rounds without training", f"{summary.skipped:,} of {summary.rounds:,}"),
        ("rounds with a drift alarm", f"{summary.alarm_rounds:,}"),
        ("interventions of the guard", f"{summary.guard_rounds:,}"),
        ("rows that could not be used", f"{sum(summary.dead_letters.values()):,}"),
    ]
    if summary.accuracy is not None:
        tiles.insert(1, ("of the answers right", f"{summary.accuracy:.1%}"))
    if overview.regret_bpb is not None:
        tiles.insert(1, (f"regret against {overview.reference_name}", f"{overview.regret_bpb:+.4f}"))
    return tiles


def _events_told(overview: Overview) -> str:
    summary = overview.summary
    alarms = ", ".join(f"{count:,} × {name}" for name, count in summary.alarms.items())
    guard = ", ".join(f"{count:,} × {reason}" for reason, count in summary.guard.items())
    return f"Alarms: {alarms or 'none'}. Guard: {guard or 'never intervened'}."


def _dead_letters(folder: RunFolder, overview: Overview, *, show_text: bool) -> Iterator[Section]:
    counts = overview.summary.dead_letters
    title = "Rows that could not be used"
    if not counts:
        yield Section(title=title, text=ALL_USED)
        return
    yield Section(title=title, heads=("reason", "rows"), rows=list(counts.items()))
    if not folder.dead_letter.is_file():
        return
    rows = list(islice(iterate_json_lines(folder.dead_letter), MAX_DEAD_LETTERS))
    heads = ("source", "line", "bytes", "reason", *(["text"] if show_text else []))
    yield Section(
        title=f"The first {len(rows)} of them",
        heads=heads,
        rows=[[_dead(row, name) for name in heads] for row in rows],
        folded=True,
    )


def _dead(row: dict[str, Any], name: str) -> Any:
    if name != "text":
        return row.get(name, "")
    text = str(row.get("text", "not kept: olrl run --keep-rejected keeps it"))
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} … ({len(text):,} characters)"
