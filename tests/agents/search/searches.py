"""Searches for tests: on a short text of their own, or with trials that are a formula."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import rich.console  # noqa: F401 # draws from the global generator when it is imported, and not again
import typer

from olrl.agents.commands import search
from olrl.agents.rivals.entrant import Task
from olrl.agents.search.trial import LOOKS, State, Trial
from olrl.control.decision import Base


def write_text(path: Path, *, rounds: int) -> Path:
    """Enough text for so many rounds of the smallest size: counting, then letters."""
    lines = []
    for k in range(rounds * 40):
        words = (
            (f"{k + j}" for j in range(12))
            if k < rounds * 20
            else ("abcd"[(k + j) % 4] * 3 for j in range(12))
        )
        lines.append(json.dumps({"text": " ".join(words)}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def olrl_search(*options: object) -> int:
    """`olrl search` with these options: its exit code; a mistake raises what the command line would tell."""
    app = typer.Typer()
    app.command()(search)
    code = typer.main.get_command(app).main([str(option) for option in options], standalone_mode=False)
    return code if isinstance(code, int) else 0


def results(folder: Path) -> dict[str, Any]:
    """results.json of a search."""
    found: dict[str, Any] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return found


def trials(folder: Path) -> list[dict[str, Any]]:
    """Its trials, without how long they took."""
    rows = [json.loads(line) for line in (folder / "trials.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{**row, "seconds": 0.0} for row in rows]


def formula_trial(
    task: Task,
    base: Base,
    *,
    number: int,
    places: Mapping[str, float],
    keep_going: Callable[[Trial], bool] = lambda so_far: True,
) -> Trial:
    """In place of `play_trial`: a loss with one valley, that falls over the ten looks."""
    rounds = len(task.chunks)
    far = sum((place - best) ** 2 for place, best in zip(places.values(), (0.6, 0.3, 0.4, 0.1), strict=True))
    losses: dict[int, float] = {}
    for look in range(1, LOOKS + 1):
        played = max(1, rounds * look // LOOKS)
        losses[played] = 2.0 + far + 1.0 / look
        state: State = "complete" if look == LOOKS else "pruned"
        trial = Trial(
            number=number,
            places=dict(places),
            settings=asdict(base),
            loss_bpb=losses[played],
            state=state,
            rounds=played,
            spent=60.0 * played,
            examples=40 * played,
            updates=5 * played,
            signal_examples=4 * played,
            seconds=0.0,
            losses=dict(losses),
        )
        if look < LOOKS and not keep_going(trial):
            return trial
    return trial
