"""A worker that is killed, as the kernel does where memory runs out, ends a command in one sentence."""

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from rich.console import Console
from typer import Exit

from olrl.agents.bars import Bars
from olrl.agents.evaluation import command as comparison
from olrl.agents.ppo import command as training
from olrl.agents.workers.local import LocalWorkers
from olrl.cli import execute
from olrl.envs.drifting_quadratic_vec import DriftingQuadraticVecEnv
from olrl.envs.processes import VecEnvProcesses


class Dying(DriftingQuadraticVecEnv):
    """Killed at its first step."""

    def step_wait(self) -> Any:
        """Killed."""
        os.kill(os.getpid(), signal.SIGKILL)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_of_a_pool_is_told_as_such() -> None:
    with pytest.raises(ChildProcessError, match="want of memory"), LocalWorkers().pool(1) as pool:
        pool.submit(die).result(timeout=120)


def test_a_killed_process_of_environments_is_told_as_such() -> None:
    envs = VecEnvProcesses([partial(Dying, 1, rounds=3)])
    envs.reset()
    with pytest.raises(ChildProcessError, match="want of memory"):
        envs.step(np.zeros((1, 4), dtype=np.int64))
    with pytest.raises(ChildProcessError, match="want of memory"):
        envs.reset()  # nobody is there to ask
    envs.close()


def killed(*arguments: Any, **settings: Any) -> NoReturn:
    raise ChildProcessError("a worker was ended")


def test_a_comparison_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(comparison, "compare", killed)
    out = tmp_path / "out"
    assert execute(["compare", "--model", "femto", "--controllers", "base", "--out", str(out)]) == 2
    [told] = capsys.readouterr().err.strip().splitlines()
    assert told.startswith("olrl: a worker was ended; the runs made so far are kept")
    assert told.endswith(f"--out {out} --resume")
    assert out.is_dir()


def test_a_training_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training, "train", killed)
    out = tmp_path / "out"
    assert execute(["train", "--profile", "quick", "--out", str(out)]) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith("olrl: a worker was ended; go on with: olrl train --profile quick")
    assert told.endswith(f"--out {out} --resume")
    assert out.is_dir()


def test_a_file_stop_ends_a_training_in_its_last_part_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The range of training is measured after the last stage."""
    out = tmp_path / "out"

    def measured(folder: Path, *arguments: Any, report: Any, **settings: Any) -> None:
        report.part("range", 2)
        report.step(1)
        (out / "STOP").touch()
        report.step(2)
        raise AssertionError("it went on")

    monkeypatch.setattr(training, "train", lambda *arguments, **settings: None)
    monkeypatch.setattr(training, "add_range", measured)
    with Bars(Console(quiet=True)) as bars, pytest.raises(Exit) as left:
        training.train_and_tell("quick", seed=0, out=out, resume=False, bars=bars)
    assert left.value.exit_code == 0
    assert not (out / "report.md").exists()  # so that it can be gone on with
