from pathlib import Path

import pytest

from olrl.analysis.folder_report import write_folder_report
from olrl.analysis.training import TrainingFollower
from olrl.analysis.training_page import training_page
from olrl.cli import execute
from olrl.run_folder import RunFolder
from olrl.tracking import EventWriter
from tests.train_folders import STEPS, make_training


def test_stages_follow_one_another_and_their_steps_are_counted_over_all(tmp_path: Path) -> None:
    folder = make_training(tmp_path / "train")
    stages = TrainingFollower(folder).stages()
    assert {stage.name for stage in stages} == {"surrogate", "language"}
    assert [(stage.begin, stage.end) for stage in stages] == [(0.0, 300.0), (300.0, 600.0)]
    steps, values = stages[1].curve("rollout/ep_rew_mean")
    assert steps.tolist() == [400.0, 500.0, 600.0]
    assert values.tolist() == [1.0, 2.0, 3.0]


def test_a_look_again_finds_what_was_written_since(tmp_path: Path) -> None:
    follower = TrainingFollower(make_training(tmp_path / "train", stages=("surrogate",)))
    before = follower.stages()[0]
    writer = EventWriter(tmp_path / "train" / "tensorboard" / "surrogate")
    writer.scalars({"validation/score": -1.5}, step=400)
    writer.close()
    after = follower.stages()[0]
    assert (before.end, after.end) == (300.0, 400.0)
    page = training_page(follower)
    assert page is not None
    assert "1.50 % below" in page.sentence


def test_a_stage_that_was_begun_anew_is_read_anew(tmp_path: Path) -> None:
    folder = make_training(tmp_path / "train", stages=("surrogate",))
    follower = TrainingFollower(folder)
    assert follower.stages()[0].end == 300.0
    (events,) = (tmp_path / "train" / "tensorboard" / "surrogate").glob("events.*")
    size = events.stat().st_size
    events.unlink()
    writer = EventWriter(tmp_path / "train" / "tensorboard" / "surrogate")
    for step in range(1, 101):
        writer.scalars({"validation/score": 1.0, "rollout/ep_rew_mean": 2.0}, step=step)
    writer.close()
    (events,) = (tmp_path / "train" / "tensorboard" / "surrogate").glob("events.*")
    assert events.stat().st_size > size
    assert follower.stages()[0].end == 100.0


def test_the_report_of_a_training_shows_validation_curves_and_policy(tmp_path: Path) -> None:
    folder = make_training(tmp_path / "train")
    written, missing, _ = write_folder_report(folder.path)
    assert (written, missing) == ([folder.page], None)
    text = folder.page.read_text(encoding="utf-8")
    for words in (
        "Training: profile quick, seed 3",
        "Validation by stage",
        "Learning curve",
        "How actions are used",
        "data:image/png;base64",
        "olrl train --profile quick --seed 3",
    ):
        assert words in text, words
    assert text.count("<td>surrogate</td>") == text.count("<td>language</td>") == len(STEPS)


def test_a_training_without_curves_or_with_a_damaged_policy_is_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder.create(tmp_path / "early")
    folder.write_config({"command": "train"})
    assert execute(["report", str(folder.path)]) == 2
    assert "holds no curves yet" in capsys.readouterr().err
    damaged = make_training(tmp_path / "damaged")
    (damaged.path / "policy" / "policy.json").write_text("{")
    (damaged.path / "tensorboard" / "surrogate" / "events.out.tfevents.0.a").write_bytes(b"\0" * 100)
    assert execute(["report", str(damaged.path)]) == 2
    assert capsys.readouterr().err.startswith("olrl: ")


def test_options_of_a_run_have_no_meaning_for_a_training(tmp_path: Path) -> None:
    folder = make_training(tmp_path / "train")
    with pytest.raises(ValueError, match="is a training"):
        write_folder_report(folder.path, show_text=True)
