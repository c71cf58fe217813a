"""Real runs, for tests of what people look at: one drifting text, under the policy that ships and the base."""

import functools
import tempfile
from pathlib import Path

from olrl.analysis.records import read_run
from olrl.run import run
from olrl.run_config import RunConfig
from olrl.run_folder import RunFolder

ROUNDS, LONG = 200, 20_000


@functools.cache
def real_runs() -> Path:
    """The folder of both runs, `policy` and `base`, made once in a process: three kinds of text, 200 rounds."""
    folder = Path(tempfile.mkdtemp(prefix="olrl-real-runs-"))
    for controller in ("policy", "base"):
        _run(folder / controller, controller=controller, rounds=ROUNDS, chunk=8, seq_len=48)
    told = read_run(RunFolder.open(folder / "policy"))
    assert told.drift, "no alarm: nothing to look for"
    assert told.guard, "the guard never intervened: nothing to look for"
    return folder


def long_run(folder: Path) -> RunFolder:
    """A run of 20,000 rounds that only watches, since learning would take a minute: losses and alarms are real."""
    return _run(folder, controller="never", rounds=LONG, chunk=1, seq_len=16)


def _run(out: Path, *, controller: str, rounds: int, chunk: int, seq_len: int) -> RunFolder:
    config = RunConfig(
        stream="builtin:drift", model="femto", controller=controller, rounds=rounds, chunk=chunk,
        seq_len=seq_len, out=out,
    )  # fmt: skip
    return run(config).folder
