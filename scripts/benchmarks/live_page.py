"""What the live page takes to open a long run, and to look at it again after some rounds more."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .figures import Figure, Section, Setting, need
from .long_run import long_run
from .resident import now_mb

MORE = 50  # rounds between two looks
LOOKS = 20


def _looks(setting: Setting) -> Iterator[Figure]:
    for rounds in (200, 400) if setting.quick else (10_000, 100_000, 1_000_000):
        yield from _look(long_run(setting.scratch / f"page-{rounds}", rounds), rounds)


def _look(path: Path, rounds: int) -> Iterator[Figure]:
    folder = need("olrl.run_folder", "RunFolder").open(path)
    make_page = need("olrl.analysis.run_page", "run_page")
    before = now_mb()
    follower = need("olrl.analysis.following", "RunFollower")(folder)
    read = [_seconds(follower.read)]
    while not follower.caught_up:
        read.append(_seconds(follower.read))
    yield Figure(name=f"{rounds:,} rounds, until all is read", value=sum(read), unit="s")
    yield Figure(name=f"{rounds:,} rounds, the longest wait on the way", value=max(read), unit="s")
    times: dict[str, list[float]] = {"reading": [], "page": []}
    figure = ""
    for look in range(LOOKS):
        _append(path, rounds + look * MORE)
        times["reading"].append(_seconds(follower.read))
        started = time.process_time()
        page = make_page(folder, follower.overview())
        figure = next(section.figure for section in page.sections if section.figure is not None).to_json()
        times["page"].append(time.process_time() - started)
    for name, values in times.items():
        median = sorted(values)[len(values) // 2]
        yield Figure(name=f"{rounds:,} rounds, {name} of {MORE} more", value=1e3 * median, unit="ms")
    yield Figure(name=f"{rounds:,} rounds, the figure as sent", value=len(figure) / 1e6, unit="MB")
    yield Figure(name=f"{rounds:,} rounds, memory held", value=now_mb() - before, unit="MB")


def _seconds(call: Callable[[], object]) -> float:
    """Processor time of a call."""
    started = time.process_time()
    call()
    return time.process_time() - started


def _append(path: Path, first: int) -> None:
    held = {"lr": 1e-3, "batch_size": 2, "window": 1, "update": True, "updates": 10, "spent": 60.0}
    files: dict[str, dict[str, Any]] = {
        "stream": {"source": "a.jsonl", "segment": 0, "n_bytes": 1024},
        "decisions": {"loss_bpb": 3.0, **held, "guard": None, "drift": []},
    }
    for name, row in files.items():
        with (path / f"{name}.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(json.dumps({"round": first + k, **row}) + "\n" for k in range(MORE))


SECTION = Section(
    name="live-page",
    about="opening a long run in olrl dashboard and looking again (processor time)",
    parts={"a run by its rounds": _looks},
)
