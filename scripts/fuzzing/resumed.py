"""`--resume` of runs and of training, in folders that were tampered with: it goes on, or refuses in a sentence."""

import contextlib
import io
import json
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from rich.console import Console

from fuzzing.checkpoints import tampered, trained_model
from fuzzing.damage import damaged_bytes, damaged_json, replaced_by_something_else
from fuzzing.target import LONGEST, Broken, Target
from olrl.agents.bars import Bars
from olrl.agents.ppo.checkpoint import save_checkpoint
from olrl.agents.ppo.command import train_and_tell
from olrl.agents.ppo.recipe import recipe
from olrl.agents.ppo.train import BEST, CHECKPOINTS, CURVES, frozen
from olrl.cli import execute

PROFILE = "quick"
ROUNDS = 4


@cache
def _run() -> Path:
    """The folder of a run that was ended in its last round, after a checkpoint in each of those before."""
    place = Path(tempfile.mkdtemp())
    stream = place / "mail.jsonl"
    rows = [json.dumps({"text": f"Note {k}: it was counted {k * k} times."}) for k in range(60)]
    stream.write_text("\n".join(rows) + "\n")
    out = place / "run"
    sizes = ["--chunk", "4", "--seq-len", "32", "--rounds", str(ROUNDS), "--model", "pico"]
    words = ["run", "--stream", str(stream), *sizes, "--checkpoint-every", "1", "--out", str(out)]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        if execute(words) != 0:
            raise RuntimeError("the run that is to be tampered with did not come to its end")
    newest = sorted((out / "checkpoints").iterdir())[-1]
    shutil.rmtree(newest)
    return out


def _run_case(rng: np.random.Generator, folder: Path) -> str:
    run = folder / "run"
    shutil.copytree(_run(), run)
    how = _tamper(rng, run, beside=["config.json", "decisions.jsonl", "stream.jsonl", "explanations.jsonl"])
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = execute(["run", "--resume", "--out", str(run)])
    told = err.getvalue()
    last = told.rstrip("\n").rpartition("\n")[2]
    if code not in (0, 2) or (code == 2 and not last.startswith("olrl: ")) or len(last) > LONGEST:
        raise Broken(f"{how}: exit code {code}, {told[-500:]!r}")
    shutil.rmtree(folder)
    return f"{how}: {'goes on' if code == 0 else 'refused'}"


def _tamper(rng: np.random.Generator, run: Path, *, beside: list[str]) -> str:
    """Damage the newest checkpoint (and sometimes the one before), or a file beside them."""
    checkpoints = sorted((run / "checkpoints").iterdir())
    if rng.random() < 0.8:
        how = tampered(rng, checkpoints[-1])
        if len(checkpoints) > 1 and rng.random() < 0.3:
            tampered(rng, checkpoints[0])
        return how
    path = run / str(rng.choice(beside))
    if rng.random() < 0.3:
        replaced_by_something_else(rng, path)
    elif path.suffix == ".json":
        path.write_bytes(damaged_json(rng, json.loads(path.read_bytes())))
    else:
        path.write_bytes(damaged_bytes(rng, path.read_bytes()))
    return path.name


class _Enough(BaseException):
    """Training would go on now."""


class _Impatient(Bars):
    """Ends a training run where it would begin to compute."""

    def __init__(self) -> None:
        super().__init__(Console(file=io.StringIO()))

    def part(self, name: str, total: int) -> None:
        raise _Enough


@cache
def _training(stage: int, leg: int) -> Path:
    """The folder of a training run that came so far; its best policy is that of its first leg."""
    out = Path(tempfile.mkdtemp()) / "training"
    with contextlib.suppress(_Enough):
        train_and_tell(PROFILE, seed=0, out=out, resume=False, bars=_Impatient())
    model, progress = trained_model()
    progress.stage, progress.leg = stage, leg
    assert progress.best is not None
    frozen(recipe(PROFILE), model, progress, seed=0).save(out / BEST / f"{progress.best.stage}-1")
    save_checkpoint(out / CHECKPOINTS, model, progress=progress.to_dict(), curves=out / CURVES)
    return out


def _training_case(rng: np.random.Generator, folder: Path) -> str:
    stage, leg = [(0, 1), (1, 0), (2, 0)][
        rng.integers(3)
    ]  # in the first stage, at its end, after all of them
    out = folder / "training"
    shutil.copytree(_training(stage, leg), out)
    how = _tamper(rng, out, beside=["config.json", "best/fuzz-1/policy.json"])
    try:
        train_and_tell(PROFILE, seed=0, out=out, resume=True, bars=_Impatient())
        outcome = "complete"
    except _Enough:
        outcome = "goes on"
    except (
        ValueError,
        TypeError,
        OSError,
        MemoryError,
    ) as error:  # what the command line tells in a sentence
        if len(str(error)) > LONGEST:
            raise Broken(f"{how}: a refusal of {len(str(error))} characters") from error
        outcome = "refused"
    if (folder / "touched").exists() or list(folder.rglob("touched")):
        raise Broken(f"{how}: a pickle was run")
    shutil.rmtree(folder)
    return f"{how}: {outcome}"


def _trainings() -> None:
    for stage, leg in ((0, 1), (1, 0), (2, 0)):
        _training(stage, leg)


TARGETS = (
    Target(name="resumed-run", case=_run_case, memory_bytes=2 << 30, prepare=_run),
    Target(name="resumed-training", case=_training_case, memory_bytes=2 << 30, prepare=_trainings),
)
