"""A run that is killed again and again, and gone on with each time."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

from kills.forked import Forked

Told = Callable[[str], None]


def kill_and_resume(
    start: Callable[[bool], Forked],
    out: Path,
    *,
    kills: int,
    longest_s: float,
    rng: random.Random,
    killed: Callable[[], None],
    meanwhile: Callable[[], None] = lambda: None,
) -> int:
    """Start, kill at a random moment, resume, until it is through or was killed so often; its exit code.

    `start` is told whether to resume what lies in `out`; `killed` hears of each kill.
    """
    count = 0
    while True:
        resume = (out / "config.json").is_file()
        if not resume and out.exists():
            shutil.rmtree(out)
        process = start(resume)
        code = process.wait(rng.uniform(0.0, longest_s) if count < kills else 3600.0, meanwhile)
        if code is None:
            code = process.kill()
        if code is not None:
            return code
        count += 1
        killed()
