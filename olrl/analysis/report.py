"""The report of a run: one page of Markdown made from its folder."""

import shlex
from pathlib import Path
from typing import Any

from olrl.analysis.figures import save_run_figure
from olrl.analysis.overview import Overview, read_overview
from olrl.analysis.privacy import WITHHELD, privacy_paragraphs
from olrl.analysis.records import RunRecords
from olrl.analysis.summary import Summary
from olrl.run_folder import RunFolder


def write_report(folder: RunFolder, overview: Overview | None = None) -> Path:
    """Make `report.md` and its figure anew from the other files of a run; ValueError if they are damaged.

    `overview` is that of the folder, where it was read already.
    """
    seen = overview or read_overview(folder)
    save_run_figure(seen.kept, folder.figure)
    folder.report.write_text(report(seen), encoding="utf-8")
    return folder.report


def report(overview: Overview) -> str:
    """The report as Markdown; holds names of sources and reasons, never text of the stream."""
    run, summary = overview.kept, overview.summary
    parts = [
        f"# {_subject(run)}",
        f"{sentence(summary)} {_ending(run)}",
        "![Loss and decisions of each round](figures/loss_and_decisions.png)",
        "## Results",
        _results(summary),
        *privacy_paragraphs(run.config),
        "## By source",
        _table(
            ("source of most of the chunk", "rounds", "bits per byte"),
            [(s.source or "(unnamed)", s.rounds, _bpb(summary, s.loss_bpb)) for s in summary.sources],
        ),
        "## Decisions",
        _decisions(summary),
        "## Drift alarms and guard",
        _events(overview),
        "## Rows that could not be used",
        _counts(summary.dead_letters, none="None: every row of the stream was used."),
        "## Configuration",
        _table(("setting", "value"), _settings(run.config)),
        "## To run it again",
        f"```sh\n{command(run.config)}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def sentence(summary: Summary) -> str:
    """What came of a run, in one sentence."""
    loss = (
        f"**{summary.loss_bpb:.4f} bits per byte** (first tenth {summary.first_bpb:.4f}, last tenth "
        f"{summary.last_bpb:.4f})"
    )
    return (
        f"Over {summary.rounds:,} rounds ({summary.n_bytes:,} bytes) the prequential loss was "
        f"{WITHHELD if summary.private else loss}, with {summary.updates:,} updates that cost "
        f"{summary.spent:,.0f} of {summary.budget:,.0f} units ({summary.spent_share:.0%} of the budget); "
        f"drift alarms were raised in {summary.alarm_rounds} rounds and the guard intervened in "
        f"{summary.guard_rounds}."
    )


def _ending(run: RunRecords) -> str:
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


def _subject(run: RunRecords) -> str:
    asked = run.config["run"]
    shadow = " in shadow" if asked.get("shadow") else ""
    return f"{asked['controller']}{shadow} on {Path(asked['stream']).name}, model {Path(asked['model']).name}"


def _results(summary: Summary) -> str:
    rows: list[tuple[str, object]] = [
        (
            "prequential loss, bits per byte (weighted by bytes, from round 1 on)",
            _bpb(summary, summary.loss_bpb),
        ),
        ("first tenth of the rounds, bits per byte", _bpb(summary, summary.first_bpb)),
        ("last tenth of the rounds, bits per byte", _bpb(summary, summary.last_bpb)),
        ("rounds", f"{summary.rounds:,}"),
        ("bytes of text", f"{summary.n_bytes:,}"),
        ("optimizer steps", f"{summary.updates:,}"),
        ("rounds without training", f"{summary.skipped:,}"),
        ("cost spent, units", f"{summary.spent:,.0f}"),
        ("budget, units", f"{summary.budget:,.0f}"),
    ]
    if not summary.private:
        lost = "rounds with a loss that was not finite (charged 8 bits per byte)"
        rows.append((lost, f"{summary.nonfinite:,}"))
    return _table(("", "value"), rows)


def _bpb(summary: Summary, value: float) -> str:
    return "withheld" if summary.private else f"{value:.4f}"


def _decisions(summary: Summary) -> str:
    names = {"lr": "learning rate", "batch_size": "batch size, sequences", "window": "window, chunks"}
    rows = [(names[knob], low, high, summary.moves[knob]) for knob, (low, high) in summary.ranges.items()]
    return _table(("knob", "lowest", "highest", "rounds in which it moved"), rows)


def _events(overview: Overview) -> str:
    if not overview.events:
        return "No alarm was raised and the guard never intervened."
    shown = _table(("round", "event", "what"), list(overview.events))
    left = overview.n_events - len(overview.events)
    return shown if left <= 0 else f"{shown}\n\n… and {left} more, in `decisions.jsonl`."


def _counts(counts: dict[str, int], *, none: str) -> str:
    return _table(("reason", "rows"), list(counts.items())) if counts else none


def _settings(config: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in config.items():
        if isinstance(value, dict):
            rows += _settings(value, f"{prefix}{name}.")
        elif value is not None:
            rows.append((f"{prefix}{name}", value))
    return rows


def _table(head: tuple[str, ...], rows: list[Any]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
