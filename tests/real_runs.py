"""Real runs, for tests of what people look at: one drifting text, under the policy that ships and the base.

And a real comparison, of entrants that do well and badly on a few such texts.
"""

import functools
import tempfile
from pathlib import Path

from rich.console import Console

from olrl.agents.bars import Bars
from olrl.agents.evaluation.command import compare_and_tell
from olrl.agents.evaluation.compare import CompareConfig
from olrl.agents.workers.here import Here
from olrl.analysis.records import read_run
from olrl.run import run
from olrl.run_config import RunConfig
from olrl.run_folder import RunFolder

ROUNDS, LONG = 200, 20_000
GUARDED = 4  # draws under which the guard has something to do
COMPARED = ("never", "base", "fixed", "hypergradient", "drift-reset", "policy")


@functools.cache
def real_runs() -> Path:
    """The folder of both runs, `policy` and `base`, made once in a process: three kinds of text, 200 rounds."""
    folder = Path(tempfile.mkdtemp(prefix="olrl-real-runs-"))
    for controller in ("policy", "base"):
        _run(folder / controller, controller=controller, rounds=ROUNDS, chunk=8, seq_len=48, seed=GUARDED)
    told = read_run(RunFolder.open(folder / "policy"))
    assert told.drift, "no alarm: nothing to look for"
    assert told.guard, "the guard never intervened: nothing to look for"
    return folder


@functools.cache
def real_comparison() -> Path:
    """The folder of a comparison as `olrl compare` leaves it, made once in a process."""
    out = Path(tempfile.mkdtemp(prefix="olrl-real-comparison-")) / "compare"
    config = CompareConfig(
        controllers=COMPARED,
        model="femto",
        streams=3,
        rounds=60,
        base_lr_mult=(0.125, 8.0),
        split="validation",
    )
    compare_and_tell(config, out=out, resume=False, bars=Bars(Console(quiet=True)), workers=Here())
    return out


def long_run(folder: Path) -> RunFolder:
    """A run of 20,000 rounds that only watches, since learning would take a minute: losses and alarms are real."""
    return _run(folder, controller="never", rounds=LONG, chunk=1, seq_len=16)


def _run(out: Path, *, controller: str, rounds: int, chunk: int, seq_len: int, seed: int = 0) -> RunFolder:
    config = RunConfig(
        stream="builtin:drift", model="femto", controller=controller, rounds=rounds, chunk=chunk,
        seq_len=seq_len, seed=seed, out=out,
    )  # fmt: skip
    return run(config).folder
