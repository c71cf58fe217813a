"""One tiny training run made in one go, and one that is interrupted in every stage and resumed."""

import json
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import typer
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from olrl.agents.bars import Bars
from olrl.agents.ppo import recipe
from olrl.agents.ppo.command import train_and_tell
from olrl.agents.ppo.tiny import TINY
from olrl.agents.ppo.train import _leg_seed
from olrl.cli import execute


class Interrupting(Bars):
    """Presses Ctrl-C in the named part once more than so many of its steps are done."""

    def __init__(self, part: str = "", after: int = 0) -> None:
        super().__init__(Console(quiet=True))
        self._where, self._after = part, after

    def step(self, done: int, note: str = "") -> None:
        if self._name == self._where and done > self._after:
            raise KeyboardInterrupt
        super().step(done, note)


@pytest.fixture(scope="module", autouse=True)
def _tiny() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "PROFILES", {**recipe.PROFILES, "tiny": TINY})
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("train") / "run"
    assert execute(["train", "--profile", "tiny", "--seed", "3", "--out", str(out)]) == 0
    return out


def mistake(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence a mistake is answered with."""
    capsys.readouterr()
    assert execute(arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith("olrl: ")
    assert told.count("\n") == 1
    return told


def losses(folder: Path) -> list[tuple[int, float]]:
    """The points of a curve over all event files: what PPO has recorded after each of its rollouts."""
    points: list[tuple[int, float]] = []
    for path in folder.glob("events.*"):
        events = EventAccumulator(str(path), purge_orphaned_data=False).Reload()
        if "train/loss" in events.Tags()["scalars"]:
            points += [(one.step, one.value) for one in events.Scalars("train/loss")]
    return sorted(points)


def test_a_finished_run_holds_all_that_is_promised(finished: Path) -> None:
    assert (finished / "policy" / "policy.safetensors").is_file()
    assert list((finished / "tensorboard" / "surrogate").glob("events.*"))
    assert list((finished / "tensorboard" / "language").glob("events.*"))
    shown = EventAccumulator(str(finished / "tensorboard" / "language")).Reload()
    assert "validation/episode" in shown.Tags()["images"]
    report = (finished / "report.md").read_text()
    rows = [line for line in report.splitlines() if line.startswith(("| surrogate", "| language"))]
    assert [row.split("|")[2].strip() for row in rows] == ["192", "48"]  # environment steps
    gradient_steps = [int(row.split("|")[3]) for row in rows]
    assert gradient_steps == [12, 8]  # epochs of all rollouts: a stage that does nothing would show
    assert json.loads((finished / "config.json").read_text())["seed"] == 3


def test_each_time_that_the_policy_is_judged_an_episode_and_its_maps_are_shown(finished: Path) -> None:
    shown = {"validation/episode": 0, "validation/policy": 0}
    for path in (finished / "tensorboard").glob("*/events.*"):
        events = EventAccumulator(str(path), size_guidance={"images": 0}).Reload()
        steps = [[one.step for one in events.Images(tag)] for tag in shown if tag in events.Tags()["images"]]
        assert not steps or steps[0] == steps[1]
        for tag, found in zip(shown, steps, strict=False):
            shown[tag] += len(found)
    assert shown["validation/policy"] == shown["validation/episode"] > 1


def test_a_run_interrupted_in_every_stage_ends_in_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    legs = {stage.name: stage.leg_steps for stage in TINY.stages}
    for part, resume in (("surrogate", False), ("hindsight", True), ("language", True)):
        bars = Interrupting(f"stage {part}", after=legs[part])  # within the second leg
        with pytest.raises(typer.Exit):
            train_and_tell("tiny", seed=3, out=out, resume=resume, bars=bars)
        assert not (out / "policy").exists()
    train_and_tell("tiny", seed=3, out=out, resume=True, bars=Interrupting())
    for stage in ("surrogate", "language"):
        assert losses(out / "tensorboard" / stage) == losses(finished / "tensorboard" / stage)
    for file in ("policy.safetensors", "policy.json"):
        assert (out / "policy" / file).read_bytes() == (finished / "policy" / file).read_bytes()


def test_an_exported_run_is_its_policy(finished: Path, tmp_path: Path) -> None:
    assert execute(["export", str(finished), "--out", str(tmp_path / "policy")]) == 0
    for file in ("policy.safetensors", "policy.json"):
        assert (tmp_path / "policy" / file).read_bytes() == (finished / "policy" / file).read_bytes()


def test_a_run_whose_actions_mean_something_else_now_is_not_exported(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["recipe"]["coding"] = "residual-moves"  # the same choices as moves
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    told = mistake(["export", str(tmp_path / "run"), "--out", str(tmp_path / "policy")], capsys)
    assert "was trained with coding 'residual-moves'" in told
    assert not (tmp_path / "policy").exists()


def test_no_two_legs_share_an_episode() -> None:
    """Environment i of a leg gets the leg's seed plus i; close seeds would train on the same episodes again."""
    legs = [_leg_seed(seed, stage, leg) for seed in range(3) for stage in range(3) for leg in range(20)]
    assert min(b - a for a, b in pairwise(sorted(legs))) > 1_000
    assert min(legs) >= 0
    assert max(legs) + 1_000 < 2**32


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--profile", "tiny", "--seed", "3"], "is complete"),
        (["--profile", "tiny", "--seed", "5"], "--resume with seed 5"),
        (["--profile", "quick", "--seed", "3"], "--resume with profile 'quick'"),
    ],
)
def test_what_cannot_be_resumed_is_said_in_one_sentence(
    finished: Path, options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in mistake(["train", *options, "--out", str(finished), "--resume"], capsys)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--profile", "nonsense"], "choose from quick, standard, full"),
        (["--seed", "-1"], "seed must be at least 0, not -1"),
        (["--resume"], "--resume needs --out"),
        (["--resume", "--out", "nowhere"], "nowhere is not a folder"),
        (["--engine", "abacus"], "engine must be one of local, ray"),
    ],
)
def test_so_are_other_mistakes(
    options: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert told in mistake(["train", *options], capsys)
    assert not list(tmp_path.iterdir())


def test_an_old_run_is_not_overwritten(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "already holds a run" in mistake(["train", "--profile", "tiny", "--out", str(finished)], capsys)


def test_a_damaged_checkpoint_is_said_and_the_one_before_it_is_gone_on_from(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "report.md").unlink()  # as if it had been killed before it was complete
    _, newest = sorted((tmp_path / "run" / "checkpoints").glob("[0-9]*"))
    (newest / "state.json").write_text("{", encoding="utf-8")
    resume = ["train", "--profile", "tiny", "--seed", "3", "--out", str(tmp_path / "run"), "--resume"]
    assert execute(resume) == 0
    assert f"checkpoint {newest} is damaged" in "".join(capsys.readouterr().out.split("\n"))
    for file in ("policy.safetensors", "policy.json"):
        policy = tmp_path / "run" / "policy" / file
        assert policy.read_bytes() == (finished / "policy" / file).read_bytes()
    for checkpoint in (tmp_path / "run" / "checkpoints").glob("[0-9]*"):
        (checkpoint / "manifest.json").write_text("{", encoding="utf-8")
    (tmp_path / "run" / "report.md").unlink()
    assert "none before it that can be read" in mistake(resume, capsys)
