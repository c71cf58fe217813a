"""`olrl run` as a person sees it: progress while it runs, and a summary at its end."""

import os
import sys
from typing import Any

from rich.console import Console
from transformers.utils.logging import disable_progress_bar

from olrl.analysis.privacy import WITHHELD
from olrl.analysis.summary import Summary
from olrl.progress import RunProgress
from olrl.run import RunResult, run
from olrl.run_config import RunConfig
from olrl.several import follow_run, launched


def run_and_tell(config: RunConfig) -> int:
    """Run with progress on standard error and the summary on standard output; the exit code.

    0, or 128 + the number of the signal that ended the run (130 for Ctrl-C): all was saved then too. Of several
    processes the first one talks.
    """
    if launched().rank:
        follow_run(config)
        return 0
    disable_progress_bar()  # type: ignore[no-untyped-call] # transformers' own, for loading and saving
    console = Teller(stderr=True)
    with RunProgress(console, rounds=config.rounds) as progress:
        result = run(config, on_round=progress.round, say=lambda told: _say(console, told))
    _tell(summary_lines(result))
    return 0 if result.interrupted is None else 128 + int(result.interrupted)


def _tell(lines: list[str]) -> None:
    try:
        print("\n".join(lines), flush=True)
    except BrokenPipeError:  # nobody reads it; all is in the folder
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Teller(Console):
    """A console whose reader may go away: what cannot be shown is no reason to end a run."""

    def on_broken_pipe(self) -> None:
        """Say nothing more."""
        self.quiet = True


def _say(console: Console, told: str) -> None:
    console.print(told, highlight=False, soft_wrap=True, markup=False)


def summary_lines(result: RunResult) -> list[str]:
    """What came of a run, a line a fact."""
    records, summary, folder = result.records, result.summary, result.folder
    lost = f", {summary.nonfinite} of them not finite and charged 8" if summary.nonfinite else ""
    lines = [
        f"The run is over: {records.ended}.",
        *(_privacy(records.config["privacy"]) if summary.private else _loss(summary, lost)),
        f"  cost       {summary.spent:,.0f} of {summary.budget:,.0f} units ({summary.spent_share:.0%}), "
        f"{summary.updates:,} updates, {summary.skipped} rounds without training",
        f"  drift      {_counted(summary.alarms, none='no alarm')}",
        f"  guard      {_counted(summary.guard, none='never intervened')}",
        f"  rejected   {_counted(summary.dead_letters, none='no row')}",
        f"  report     {folder.report}",
        f"  figure     {folder.figure}",
    ]
    saved = str(folder.model) if result.model_saved else "not saved: its weights are not finite"
    return [*lines, f"  model      {saved}", f"  curves     tensorboard --logdir {folder.path}"]


def _loss(summary: Summary, lost: str) -> list[str]:
    return [
        f"  loss       {summary.loss_bpb:.4f} bits per {summary.unit}, prequential, over {summary.rounds} rounds"
        f"{lost}",
        f"             {summary.first_bpb:.4f} in the first tenth, {summary.last_bpb:.4f} in the last",
        *_answers(summary),
    ]


def _answers(summary: Summary) -> list[str]:
    if summary.accuracy is None:
        return []
    f1 = "" if summary.answers is None else f", macro F1 {summary.answers.macro_f1:.4f}"
    return [f"  answers    {summary.accuracy:.2%} right{f1}"]


def _privacy(given: dict[str, Any]) -> list[str]:
    return [
        f"  privacy    epsilon {given['epsilon']:.4g}, delta {given['delta']:g} for one training example",
        f"  loss       {WITHHELD}",
    ]


def _counted(counts: dict[str, int], *, none: str) -> str:
    return ", ".join(f"{count} × {name}" for name, count in counts.items()) or none
