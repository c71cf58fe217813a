"""Deployed runs on labels: `olrl run --task classify` and `--task answer`."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from olrl.cli import execute
from olrl.control.training_range import TrainingRange
from olrl.run import run
from olrl.run_config import RunConfig
from tests.deployed import elsewhere, untrained_policy


def write(path: Path, *, late: bool = False, count: int = 90) -> Path:
    rows: list[dict[str, Any]] = []
    for k in range(count):
        good = k * 7 % 3 > 0
        row = {"text": f"{'a fine thing' if good else 'this failed'}, number {k}", "id": k}
        label = {"label": "pos" if good else "neg"}
        rows.append(row if late else row | label)
        if late and k >= 10:
            before = k - 10
            rows.append({"id": before, "label": "pos" if before * 7 % 3 > 0 else "neg"})
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


def quick(stream: Path, out: Path, **settings: Any) -> RunConfig:
    plain: dict[str, Any] = {"task": "classify", "model": "pico", "chunk": 8, "seq_len": 32}
    return RunConfig(stream=str(stream), out=out, **{**plain, **settings})


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_labelled_file_is_learned_under_the_default_policy_and_reported_with_f1(tmp_path: Path) -> None:
    told: list[str] = []
    result = run(quick(write(tmp_path / "l.jsonl"), tmp_path / "out"), say=told.append)
    assert not told  # heads on a frozen model are what it was trained on
    rows = rows_of(result.folder.decisions)
    assert len(rows) == 11
    assert all(row["loss_bpb"] is None and row["loss_nats"] > 0 and 0 <= row["metric"] <= 1 for row in rows)
    assert result.summary.answers is not None
    assert result.summary.answers.total == 80  # from round 1 on
    assert result.summary.accuracy == pytest.approx(result.summary.answers.accuracy)
    report = result.folder.report.read_text()
    assert "bits per label" in report
    assert "bits per byte" not in report
    assert "macro F1" in report
    assert "| neg |" in report
    assert (result.folder.model / "head.safetensors").is_file()


@pytest.mark.parametrize(
    "settings",
    [
        {"task": "answer"},
        {"encoder": "learning", "seq_len": 16},
        {"text_features": 8},
    ],
)
def test_what_the_policy_was_not_trained_on_is_told(tmp_path: Path, settings: dict[str, Any]) -> None:
    told: list[str] = []
    stream = write(tmp_path / "l.jsonl", count=32)
    run(quick(stream, tmp_path / "out", rounds=2, **settings), say=told.append)
    assert len(told) == 1
    assert "trained on the tasks lm and classify, not on what this run learns" in told[0]
    told.clear()
    run(quick(stream, tmp_path / "base", rounds=2, controller="base", **settings), say=told.append)
    assert not told


def test_a_policy_is_held_against_its_training_range_on_labels(tmp_path: Path) -> None:
    def layers(given: TrainingRange, name: str, **settings: Any) -> set[str]:
        policy = untrained_policy(tmp_path / f"{name}-policy", training_range=given)
        config = quick(write(tmp_path / f"{name}.jsonl", count=14 * 8), tmp_path / name, **settings)
        result = run(replace(config, controller="policy", policy=str(policy)))
        reasons = [row["guard"] or "" for row in rows_of(result.folder.decisions)]
        return {"range" if "training range" in reason else "other" for reason in reasons[11:]}

    regions = elsewhere().regions  # of text no round lies in it, of labels every one
    turned = TrainingRange(regions={"lm": regions["classify"], "classify": regions["lm"]})
    assert layers(elsewhere(), "inside") == {"other"}
    assert layers(turned, "outside") == {"range"}
    assert layers(turned, "learning", encoder="learning", base_lr=1e-3) == {"other"}  # any region will do


@pytest.mark.parametrize(("late", "encoder"), [(False, "frozen"), (True, "frozen"), (False, "learning")])
def test_a_run_that_was_stopped_goes_on_to_the_same_decisions(
    tmp_path: Path, late: bool, encoder: str
) -> None:
    stream = write(tmp_path / "l.jsonl", late=late)
    policy = str(untrained_policy(tmp_path / "policy"))
    settings = {"policy": policy, "checkpoint_every": 2, "encoder": encoder}
    run(quick(stream, tmp_path / "straight", **settings))
    cut = tmp_path / "cut"

    def stop(record: Any) -> None:
        if record.round == 4:
            (cut / "STOP").touch()

    run(quick(stream, cut, **settings), on_round=stop)
    assert len(rows_of(cut / "decisions.jsonl")) == 5
    run(quick(stream, cut, **settings, resume=True))
    for name in ("decisions.jsonl", "stream.jsonl"):
        assert (cut / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()


def test_all_weights_of_a_model_can_learn_labels_and_are_saved_for_transformers(tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    settings = {"encoder": "learning", "rounds": 2, "controller": "base"}
    result = run(quick(write(tmp_path / "l.jsonl"), tmp_path / "out", **settings))
    model = AutoModelForSequenceClassification.from_pretrained(result.folder.model)
    assert model.config.id2label == {0: "neg", 1: "pos"}


def test_answers_are_learned_in_bits_per_byte_and_judged_by_exact_match(tmp_path: Path) -> None:
    stream = tmp_path / "q.jsonl"
    pairs = [{"text": f"what is {k % 4}?", "label": f"it is {k % 4}"} for k in range(64)]
    stream.write_text("\n".join(map(json.dumps, pairs)) + "\n")
    settings = {"task": "answer", "controller": "base", "base_lr": 3e-3}
    result = run(quick(stream, tmp_path / "out", **settings))
    assert result.summary.rounds == 8  # questions may come again, as often as they come
    assert result.summary.accuracy is not None
    assert result.summary.last_bpb < result.summary.first_bpb
    assert "bits per byte" in result.folder.report.read_text()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--task", "guess"], "task must be one of lm, classify, answer"),
        (["--classes", "a,b"], "classes has no effect with --task lm"),
        (["--task", "classify", "--classes", "a"], "at least two different labels"),
        (["--task", "classify", "--encoder", "warm"], "encoder must be frozen or learning"),
        (["--task", "classify", "--dp-noise", "1"], "differential privacy is there for --task lm only"),
        (["--task", "classify", "--lora", "r=4"], "lora has no effect on a classifier"),
        (["--task", "classify", "--follow"], "name them with --classes"),
        (["--task", "classify", "--classes", "a,b"], "label is none of the classes"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    stream = write(tmp_path / "l.jsonl")
    arguments = ["run", "--stream", str(stream), "--model", "pico", "--out", str(tmp_path / "out"), *options]
    if "--dp-noise" in options:
        arguments += ["--controller", "base"]
    assert execute(arguments) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_run_with_text_features_goes_on_to_the_same_decisions_and_tells_what_it_chose(
    tmp_path: Path,
) -> None:
    stream = write(tmp_path / "l.jsonl", late=True, count=130)
    settings = {"controller": "base", "checkpoint_every": 2, "text_features": 8}
    straight = run(quick(stream, tmp_path / "straight", **settings))
    cut = tmp_path / "cut"

    def stop(record: Any) -> None:
        if record.round == 8:
            (cut / "STOP").touch()

    run(quick(stream, cut, **settings), on_round=stop)
    assert len(rows_of(cut / "decisions.jsonl")) == 9
    resumed = run(quick(stream, cut, **settings, resume=True))
    for name in ("decisions.jsonl", "stream.jsonl", "model/head.safetensors"):
        assert (cut / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()
    told = [row["text_features"] for row in rows_of(straight.folder.decisions) if "text_features" in row]
    assert told[-1]["chosen"] == 8  # "fine", "failed", "thing" and their pieces tell the classes apart
    assert sum(each["changed"] for each in told) >= 8
    assert resumed.summary.reselections["period"] == sum(each["reason"] == "period" for each in told)
    assert "text features chosen anew" in straight.folder.report.read_text()
    assert json.loads((straight.folder.model / "head.json").read_text())["text_features"]["buckets"] == 2048
    from safetensors.numpy import load_file

    assert load_file(straight.folder.model / "head.safetensors")["mask"].sum() == 8


def test_all_text_features_are_seen_from_the_start_and_nothing_is_chosen(tmp_path: Path) -> None:
    settings = {"controller": "base", "text_features": 2048, "rounds": 4}
    result = run(quick(write(tmp_path / "l.jsonl"), tmp_path / "out", **settings))
    assert not result.summary.reselections
    from safetensors.numpy import load_file

    assert load_file(result.folder.model / "head.safetensors")["mask"].all()


@pytest.mark.parametrize(
    "options",
    [
        ["--task", "classify", "--text-features", "-1"],
        ["--task", "classify", "--text-features", "2049"],
        ["--task", "classify", "--encoder", "learning", "--text-features", "8"],
        ["--text-features", "8"],
    ],
)
def test_text_features_where_there_can_be_none_are_refused_in_one_sentence(
    tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    stream = write(tmp_path / "l.jsonl")
    assert execute(["run", "--stream", str(stream), "--out", str(tmp_path / "out"), *options]) == 2
    told = capsys.readouterr().err
    assert "text_features" in told
    assert "Traceback" not in told
    assert not (tmp_path / "out").exists()


def test_labels_that_nobody_asked_to_learn_are_told_of_once(tmp_path: Path) -> None:
    told: list[str] = []
    run(quick(write(tmp_path / "l.jsonl"), tmp_path / "text", task="lm", rounds=2), say=told.append)
    assert [line for line in told if "have labels, which are not learned" in line] == told
    assert len(told) == 1
    labelled: list[str] = []
    run(quick(tmp_path / "l.jsonl", tmp_path / "labels", rounds=2), say=labelled.append)
    assert not any("not learned" in line for line in labelled)
