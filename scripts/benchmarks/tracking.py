"""Microseconds a round of what `olrl run` writes, background threads and closing included."""

import time
from collections.abc import Iterator
from itertools import count

from olrl.loop import RoundRecord

from . import models
from .figures import Figure, Section, Setting
from .rounds import a_loop
from .written import writer

_FOLDERS = count()


def _records(setting: Setting) -> list[RoundRecord]:
    loaded = models.load("pico", setting.scratch)
    loop = a_loop(loaded)
    assert loaded.base is not None, "pico ships its base"
    records = []
    for _ in range(setting.of(100, 5)):
        loop.observe()
        records.append(loop.apply(loaded.base.decision()))
    return records


def _written(setting: Setting) -> Iterator[Figure]:
    records = _records(setting)
    times = setting.of(8, 2)
    for name, tensorboard, lines in (
        ("decisions.jsonl and stream.jsonl", False, True),
        ("TensorBoard", True, False),
        ("all", True, True),
    ):
        least = float("inf")
        for _ in range(setting.of(8, 1)):
            folder = setting.scratch / f"tracking-{time.time_ns()}-{next(_FOLDERS)}"
            write, close = writer(folder, tensorboard=tensorboard, lines=lines)
            started = time.perf_counter()
            for record in records * times:
                write(record, None)
            close()
            least = min(least, (time.perf_counter() - started) / (len(records) * times))
        yield Figure(name=name, value=least * 1e6, unit="µs a round")


SECTION = Section(name="tracking", about="what a run writes for a round", parts={"written": _written})
