from pathlib import Path

import pytest

from olrl.agents.rivals.samplers import SAMPLERS
from olrl.agents.search.trial import Trial
from tests.agents.search.searches import formula_trial, olrl_search, results, trials, write_text

SMALL = ("--model", "femto", "--rounds", 10, "--chunk", 2, "--seq-len", 16)


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stream on which a trial is a formula, and costs nothing."""
    monkeypatch.setattr("olrl.agents.search.optuna_engine.play_trial", formula_trial)
    return write_text(tmp_path / "text.jsonl", rounds=12)


def interrupted_at(stop: int) -> object:
    """Trials of which one is interrupted."""

    def play(*given: object, **named: object) -> Trial:
        if named["number"] == stop:
            raise KeyboardInterrupt
        return formula_trial(*given, **named)  # type: ignore[arg-type]

    return play


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.usefixtures("global_generators_untouched")
def test_a_search_that_was_interrupted_goes_on_as_it_would_have(
    sampler: str, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ("--stream", text, *SMALL, "--sampler", sampler, "--seed", 3)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert olrl_search(*given, "--trials", 14, "--out", whole) == 0

    monkeypatch.setattr("olrl.agents.search.optuna_engine.play_trial", interrupted_at(12))
    assert olrl_search(*given, "--trials", 13, "--out", parts) == 130
    assert len(trials(parts)) == 12

    monkeypatch.setattr("olrl.agents.search.optuna_engine.play_trial", formula_trial)
    assert olrl_search(*given, "--trials", 14, "--out", parts, "--resume") == 0
    assert trials(parts) == trials(whole)
    assert results(parts)["best"] == results(whole)["best"]


def test_a_line_that_a_kill_has_cut_off_is_made_again(text: Path, tmp_path: Path) -> None:
    given = ("--stream", text, *SMALL, "--out", tmp_path / "out")
    olrl_search(*given, "--trials", 4)
    log = tmp_path / "out" / "trials.jsonl"
    before = trials(tmp_path / "out")
    log.write_text(log.read_text(encoding="utf-8")[:-40], encoding="utf-8")
    olrl_search(*given, "--trials", 4, "--resume")
    assert [row["number"] for row in trials(tmp_path / "out")] == [0, 1, 2, 3]
    assert trials(tmp_path / "out")[:3] == before[:3]


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_a_model_of_the_losses_does_better_than_chance(sampler: str, text: Path, tmp_path: Path) -> None:
    best = {}
    for name in (sampler, "random"):
        options = ("--stream", text, *SMALL, "--sampler", name, "--trials", 26, "--no-prune")
        olrl_search(*options, "--out", tmp_path / name)
        losses = [row["loss_bpb"] for row in trials(tmp_path / name)]
        best[name] = sum(losses[18:]) / 8
    assert best[sampler] < best["random"] - 0.05


def test_what_does_badly_is_stopped_early_and_never_called_the_best(text: Path, tmp_path: Path) -> None:
    for prune in ("--prune", "--no-prune"):
        olrl_search("--stream", text, *SMALL, "--trials", 20, prune, "--out", tmp_path / prune)
    rows, unpruned = trials(tmp_path / "--prune"), trials(tmp_path / "--no-prune")
    stopped = [row for row in rows if row["state"] == "pruned"]
    assert 3 < len(stopped) < 17
    assert all(3 <= row["rounds"] < 10 and row["spent"] == 60 * row["rounds"] for row in stopped)
    assert {row["state"] for row in unpruned} == {"complete"}
    best = rows[results(tmp_path / "--prune")["best"]["trial"]]
    assert best["state"] == "complete"
    assert best["loss_bpb"] == min(row["loss_bpb"] for row in rows if row["state"] == "complete")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--sampler", "gp"), "another sampler"),
        (("--base-lr", 0.5), "another base_lr"),
        (("--rounds", 9), "another rounds"),
    ],
)
def test_going_on_with_other_options_is_refused(
    options: tuple[object, ...], said: str, text: Path, tmp_path: Path
) -> None:
    given = ("--stream", text, *SMALL, "--out", tmp_path / "out", "--trials", 2)
    olrl_search(*given)
    with pytest.raises(ValueError, match=said):
        olrl_search(*given, *options, "--resume")


def test_going_on_with_another_text_is_refused(text: Path, tmp_path: Path) -> None:
    given = ("--stream", text, *SMALL, "--out", tmp_path / "out", "--trials", 2)
    olrl_search(*given)
    text.write_text(text.read_text(encoding="utf-8").replace("aaa", "zzz"), encoding="utf-8")
    with pytest.raises(ValueError, match="not comparable"):
        olrl_search(*given, "--resume")
