"""Searches on labels and answers: the run that `olrl run --base-from` makes is the one that was searched."""

import json
from pathlib import Path
from typing import Any

import pytest

from olrl.agents.fingerprint import _scenario_sha256, fingerprint
from olrl.agents.search.config import SearchConfig
from olrl.cli import execute
from olrl.run import run
from olrl.run_config import RunConfig
from olrl.streams.document import Document
from olrl.streams.scenarios import SCENARIOS
from tests.agents.search.searches import olrl_search, results, trials

SMALL: dict[str, Any] = {"model": "femto", "chunk": 4, "seq_len": 16, "rounds": 4}
KINDS: dict[str, dict[str, Any]] = {
    "classify": {"task": "classify"},
    "learning": {"task": "classify", "encoder": "learning", "classes": "0,1", "model": "pico"},
    "text features": {"task": "classify", "text_features": 8},
    "answer": {"task": "answer"},
    "lm": {"task": "lm"},
}


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of two kinds with labels."""
    path = tmp_path_factory.mktemp("stream") / "mail.jsonl"
    words = ("win a prize", "see you soon")
    rows = [{"text": f"{words[k * 7 % 3 > 0]} {k}", "label": k * 7 % 3 > 0} for k in range(60)]
    path.write_text("\n".join(json.dumps({**row, "label": int(row["label"])}) for row in rows) + "\n")  # type: ignore[call-overload]
    return path


def options_of(settings: dict[str, Any]) -> list[object]:
    return [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", value)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_from_what_was_found_has_the_loss_that_was_found(
    kind: str, labelled: Path, tmp_path: Path
) -> None:
    settings, found = {**SMALL, **KINDS[kind]}, tmp_path / "search"
    searched = options_of({"stream": labelled, **settings, "trials": 2, "sampler": "random"})
    assert olrl_search(*searched, "--no-prune", "--out", found) == 0
    base, best = results(found)["runs"]
    assert base["loss_bpb"] == trials(found)[0]["loss_bpb"]
    asked = RunConfig(
        stream=str(labelled), controller="base", base_from=found, out=tmp_path / "run", **settings
    )
    summary = run(asked).summary
    assert summary.loss_bpb == pytest.approx(best["loss_bpb"], rel=1e-9)
    assert summary.accuracy == (None if kind == "lm" else pytest.approx(best["metric"]))
    unit = "label" if settings["task"] == "classify" else "byte"
    assert best.get("loss_unit", "byte") == unit
    assert f"bits a {unit}" in (found / "report.md").read_text(encoding="utf-8")
    if unit == "label":
        assert 0 < best["macro_f1"] <= 1
        assert "--task classify" in (found / "report.md").read_text(encoding="utf-8")


def test_labels_after_a_prefix_count_from_there_on(labelled: Path, tmp_path: Path) -> None:
    searched = options_of({"stream": labelled, **SMALL, "task": "classify", "trials": 2, "prefix": 2})
    assert olrl_search(*searched, "--out", tmp_path / "out") == 0
    base, best = results(tmp_path / "out")["runs"]
    assert base["rounds"] == best["rounds"] == 2
    assert best["macro_f1"] is None  # counted over whole runs only
    assert 0 <= best["metric"] <= 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "have labels: say what is to be learned of them, with --task classify or answer"),
        (["--task", "guess"], "task must be one of lm, classify, answer"),
        (["--task", "answer", "--classes", "0,1"], "classes have no effect without --task classify"),
        (["--task", "lm", "--encoder", "frozen"], "encoder has no effect without --task classify"),
        (["--task", "classify", "--encoder", "warm"], "encoder must be frozen or learning"),
        (["--task", "answer", "--text-features", "8"], "text_features have no effect"),
        (["--task", "classify", "--encoder", "learning", "--text-features", "8"], "text_features have no"),
        (["--task", "classify", "--classes", "0"], "at least two different classes"),
        (["--task", "classify", "--chunk", "400"], "text for 0 rounds of 400 documents with labels"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(
    options: list[str], told: str, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["search", "--stream", str(labelled), "--model", "femto", "--out", str(tmp_path / "out")]
    assert execute([*given, *options]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_scenario_that_is_learned_otherwise_than_as_text_needs_its_task(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["search", "--stream", "scenario:questions", "--model", "femto", "--out", str(tmp_path / "out")]
    assert execute(given) == 2
    assert "the documents of scenario:questions have labels" in capsys.readouterr().err


@pytest.mark.parametrize("changed", ["text", "label"])
def test_the_fingerprint_of_a_scenario_changes_with_its_documents(
    changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a search whose fetched data or packages were exchanged is not gone on with."""
    documents = [Document(text="fine", label="good"), Document(text="bad", label="poor")]
    other = [documents[0], Document(**{"text": "bad", "label": "poor", changed: "other"})]  # type: ignore[arg-type]
    marks = []
    for found in (documents, documents, other):
        monkeypatch.setitem(vars(SCENARIOS["sentiment"]), "documents", lambda number, found=found: found)
        _scenario_sha256.cache_clear()
        marks.append(fingerprint([], builtin=True, stream="scenario:sentiment"))
    _scenario_sha256.cache_clear()
    assert marks[0] == marks[1] != marks[2]
    assert marks[0] != fingerprint([], builtin=False, stream="scenario:sentiment")  # the corpus is in it


def test_who_says_nothing_of_a_task_means_the_text() -> None:
    config = SearchConfig(stream="mail.jsonl")
    assert (config.learned, config.loss_unit) == ("lm", "byte")
    assert SearchConfig(stream="mail.jsonl", task="classify").loss_unit == "label"
