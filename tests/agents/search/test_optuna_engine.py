from pathlib import Path

import pytest

from olrl.agents.rivals.samplers import SAMPLERS
from olrl.agents.search.study import WORST, told_loss
from olrl.agents.search.trial import State, Trial, TrialLog
from tests.agents.search.searches import formula_trial, olrl_search, results, trials, write_text

SMALL = ("--model", "femto", "--rounds", 10, "--chunk", 2, "--seq-len", 16)


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stream on which a trial is a formula, and costs nothing."""
    trials_by(formula_trial, monkeypatch)
    return write_text(tmp_path / "text.jsonl", rounds=12)


def trials_by(play: object, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("asked", "optuna_engine"):
        monkeypatch.setattr(f"olrl.agents.search.{module}.play_trial", play)


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

    trials_by(interrupted_at(12), monkeypatch)
    assert olrl_search(*given, "--trials", 13, "--out", parts) == 130
    assert len(trials(parts)) == 12

    trials_by(formula_trial, monkeypatch)
    assert olrl_search(*given, "--trials", 14, "--out", parts, "--resume") == 0
    assert trials(parts) == trials(whole)
    assert results(parts)["best"] == results(whole)["best"]


def test_one_that_is_stopped_between_log_and_study_goes_on_as_it_would_have(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ("--stream", text, *SMALL, "--seed", 3)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert olrl_search(*given, "--trials", 14, "--out", whole) == 0
    add = TrialLog.add
    for last in (0, 12):  # the base among them

        def stop(log: TrialLog, trial: Trial, last: int = last) -> None:
            add(log, trial)
            if trial.number == last:
                raise KeyboardInterrupt

        monkeypatch.setattr(TrialLog, "add", stop)
        again = ("--resume",) if last else ()
        assert olrl_search(*given, "--trials", 14, "--out", parts, *again) == 130
        assert len(trials(parts)) == last + 1
    monkeypatch.setattr(TrialLog, "add", add)
    assert olrl_search(*given, "--trials", 14, "--out", parts, "--resume") == 0
    assert trials(parts) == trials(whole)


def test_a_line_that_a_kill_has_cut_off_is_made_again(text: Path, tmp_path: Path) -> None:
    given = ("--stream", text, *SMALL, "--out", tmp_path / "out")
    olrl_search(*given, "--trials", 4)
    log = tmp_path / "out" / "trials.jsonl"
    before = trials(tmp_path / "out")
    log.write_text(log.read_text(encoding="utf-8")[:-40], encoding="utf-8")
    olrl_search(*given, "--trials", 4, "--resume")
    assert [row["number"] for row in trials(tmp_path / "out")] == [0, 1, 2, 3]
    assert trials(tmp_path / "out")[:3] == before[:3]


def test_a_journal_whose_last_line_a_full_disk_has_torn_is_gone_on_with(text: Path, tmp_path: Path) -> None:
    given = ("--stream", text, *SMALL)
    olrl_search(*given, "--out", tmp_path / "torn", "--trials", 3)
    with (tmp_path / "torn" / "study.journal").open("ab") as journal:
        journal.write(b'{"op_code": 4, "worker_id": "ef03ecb8')
    for out in ("torn", "whole"):
        resume = ("--resume",) if out == "torn" else ()
        assert olrl_search(*given, "--out", tmp_path / out, "--trials", 5, *resume) == 0
    assert trials(tmp_path / "torn") == trials(tmp_path / "whole")


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
        (("--sampler", "tpe"), "another sampler"),
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


def trial(state: State, loss: float, losses: dict[int, float]) -> Trial:
    rounds = max(losses)
    return Trial(
        number=0, places={}, settings={}, loss_bpb=loss, state=state, rounds=rounds, spent=1.0, examples=1,
        updates=1, signal_examples=0, seconds=0.0, losses=losses,
    )  # fmt: skip


def test_of_a_stopped_trial_is_told_what_it_would_have_come_to() -> None:
    base, other = trial("complete", 3.0, {2: 4.0, 4: 3.0}), trial("complete", 2.5, {2: 5.0, 4: 2.5})
    stopped = trial("pruned", 4.4, {2: 4.4})
    assert told_loss(stopped, [base, other]) == pytest.approx(4.4 * (3.0 / 4.0 + 2.5 / 5.0) / 2)
    assert told_loss(stopped, [base, other, stopped]) == told_loss(stopped, [base, other])
    assert told_loss(other, [base]) == 2.5
    # one that was lost would make all others look alike
    assert told_loss(trial("diverged", 8.0, {2: 8.0}), [base]) == WORST * 3.0
