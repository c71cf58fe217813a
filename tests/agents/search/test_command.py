import json
import stat
from pathlib import Path
from typing import Any

import pytest

from olrl.control.decision import Base
from olrl.run_config import RunConfig, read_base
from tests.agents.search.searches import olrl_search, results, trials, write_text
from tests.agents.test_compare import FIELDS

SMALL = ("--model", "femto", "--chunk", 2, "--seq-len", 16, "--budget", 24)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short stream."""
    return write_text(tmp_path_factory.mktemp("stream") / "text.jsonl", rounds=30)


@pytest.fixture(scope="module")
def found(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a search from a rate that is far too low."""
    out = tmp_path_factory.mktemp("search") / "out"
    options = ("--stream", text, *SMALL, "--rounds", 12, "--trials", 8, "--base-lr", 1e-4, "--out", out)
    assert olrl_search(*options) == 0
    return out


def test_the_base_is_the_first_trial_and_what_is_found_is_better(found: Path) -> None:
    first, *others = trials(found)
    assert first["settings"] == {"lr": 1e-4, "batch_size": 2, "window": 1, "weight_decay": 0.0, "pull": 0.0}
    assert len(others) == 7
    base, best = results(found)["runs"]
    assert base["loss_bpb"] == first["loss_bpb"]
    assert best["loss_bpb"] == min(row["loss_bpb"] for row in trials(found) if row["state"] == "complete")
    assert best["loss_bpb"] < base["loss_bpb"]


def test_all_that_trials_trained_on_is_counted(found: Path) -> None:
    base, best = results(found)["runs"]
    assert base["tuning_examples"] == 0
    assert best["tuning_examples"] == sum(row["examples"] for row in trials(found)) > 0
    assert results(found)["summary"]["spent"] == sum(row["spent"] for row in trials(found))


def test_the_folder_is_private_and_holds_figure_report_and_the_runs_of_a_comparison(found: Path) -> None:
    assert stat.S_IMODE(found.stat().st_mode) == 0o700
    assert (found / "figures" / "search.png").read_bytes()[:4] == b"\x89PNG"
    assert "--base-lr" in (found / "report.md").read_text(encoding="utf-8")
    assert all(set(row) == set(FIELDS) for row in results(found)["runs"])
    assert "aaa bbb" not in "".join(p.read_text(errors="ignore") for p in found.rglob("*") if p.is_file())


def test_a_run_starts_from_what_was_found(found: Path) -> None:
    best = Base(**results(found)["best"]["base"])
    assert read_base(found) == best
    asked = RunConfig(stream="-", model="own", base_from=found, base_window=0)
    assert asked.base(None, model="own") == Base(**{**best.__dict__, "window": 0})


@pytest.mark.parametrize("content", ["{", '{"lr": 1}', "[]", '{"lr": "1", "batch_size": 1, "window": 1}'])
def test_a_damaged_base_is_refused_in_a_sentence(content: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no base\.json"):
        read_base(tmp_path)
    (tmp_path / "base.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match="is damaged"):
        read_base(tmp_path)


def test_a_prefix_is_searched_and_the_rest_played_with_what_was_found(text: Path, tmp_path: Path) -> None:
    options = ("--stream", text, *SMALL, "--rounds", 12, "--prefix", 6, "--trials", 5, "--base-lr", 1e-4)
    assert olrl_search(*options, "--out", tmp_path / "out") == 0
    base, best = results(tmp_path / "out")["runs"]
    assert max(row["rounds"] for row in trials(tmp_path / "out")) == 6
    assert base["rounds"] == best["rounds"] == 6
    assert best["loss_bpb"] < base["loss_bpb"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"--stream": "-"}, "standard input cannot be"),
        ({"--prefix": 12}, "prefix must be less than rounds"),
        ({"--trials": 1}, "trials must be at least 2"),
        ({"--sampler": "bayes"}, "sampler must be one of tpe, gp"),
        ({"--engine": "spark"}, "engine must be one of optuna, ray"),
        ({"--base-window": 3}, "window must be one of"),
        ({"--base-weight-decay": -1}, "weight decay must be at least 0"),
        ({"--reach": 1}, "reach must be a factor above 1"),
        ({"--chunk": 4000}, "has text for 0 rounds of 4000 sequences"),
    ],
)
def test_a_mistake_is_said_in_a_sentence_and_leaves_no_folder(
    options: dict[str, Any], said: str, text: Path, tmp_path: Path
) -> None:
    given = {"--stream": text, "--rounds": 12, "--model": "femto", "--out": tmp_path / "out", **options}
    with pytest.raises(ValueError, match=said):
        olrl_search(*(part for pair in given.items() for part in pair))
    assert not (tmp_path / "out").exists()


def test_results_are_json_without_nan(found: Path) -> None:
    text = (found / "results.json").read_text(encoding="utf-8")
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in results.json"))
