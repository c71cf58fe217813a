import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import AutoModelForCausalLM, AutoTokenizer

from olrl.analysis.policy_figure import policy_picture
from olrl.control.policy import load_policy
from olrl.loop import RoundRecord
from olrl.models.load import load_model
from olrl.run import RunResult, run
from olrl.run_folder import read_json_lines
from tests.deployed import SECRET, elsewhere, quick, untrained_policy, write_stream

BAD = {
    b"{not json": "invalid JSON",
    b'{"text": 7}': "not text",
    b'{"text": "  "}': "empty",
    b'{"text": "a\\u0000b"}': "NUL byte",
    b'{"text": "\\ud800"}': "lone surrogate",
    b'{"text": "\xff\xfe"}': "invalid UTF-8",
    b"[" * 100_000: None,
    b'{"text": "x", "time": ' + b"9" * 5000 + b"}": None,
}


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    return write_stream(tmp_path / "mail.jsonl")


def at_round(number: int, act: Callable[[], Any]) -> Callable[[RoundRecord], None]:
    return lambda record: act() if record.round == number else None


def decisions(result: RunResult) -> list[dict[str, Any]]:
    return read_json_lines(result.folder.decisions)


def test_good_rows_are_used_and_each_bad_one_is_in_the_dead_letter_with_its_reason(tmp_path: Path) -> None:
    clean = run(quick(write_stream(tmp_path / "a.jsonl"), out=tmp_path / "clean"))
    mixed = write_stream(tmp_path / "a.jsonl", bad=tuple(BAD))
    result = run(quick(mixed, out=tmp_path / "mixed"))
    letters = read_json_lines(result.folder.dead_letter)
    assert len(letters) == len(BAD)
    assert {reason for reason in BAD.values() if reason} <= {letter["reason"] for letter in letters}
    assert decisions(result) == decisions(clean)  # the bad rows changed nothing
    assert sum(result.summary.dead_letters.values()) == len(BAD)


def test_no_text_of_the_stream_is_in_anything_but_the_model(tmp_path: Path) -> None:
    bad = json.dumps({"text": f"{SECRET}\0"}).encode()
    result = run(quick(write_stream(tmp_path / "a.jsonl", bad=(bad,)), out=tmp_path / "run"))
    files = [path for path in result.folder.path.rglob("*") if path.is_file() and path.parent.name != "model"]
    assert len(files) >= 7
    assert [path.name for path in files if SECRET.encode() in path.read_bytes()] == []


def test_the_text_of_rejected_rows_is_kept_when_asked_for(tmp_path: Path) -> None:
    bad = json.dumps({"text": f"{SECRET}\0"}).encode()
    stream = write_stream(tmp_path / "a.jsonl", bad=(bad,))
    result = run(quick(stream, out=tmp_path / "run", keep_rejected=True))
    assert SECRET in read_json_lines(result.folder.dead_letter)[0]["text"]


@pytest.mark.parametrize("private", [{}, {"dp_noise": 1.0, "base_batch": 4, "base_window": 4}])
def test_a_policy_out_of_its_training_range_is_not_obeyed(
    tmp_path: Path, stream: Path, private: dict[str, Any]
) -> None:
    policy = str(untrained_policy(tmp_path / "policy", training_range=elsewhere()))
    config = quick(stream, controller="policy", policy=policy, model="pico", rounds=14, **private)
    result = run(replace(config, out=tmp_path / "run"))
    rows = decisions(result)
    settling = [row["guard"] for row in rows[:11]]  # ten rounds, and one outside is no reason
    assert not any("range" in reason for reason in settling if reason)
    assert all("outside of the training range" in row["guard"] for row in rows[11:])
    assert {row["batch_size"] for row in rows[11:]} == {result.folder.read_config()["base"]["batch_size"]}
    events = EventAccumulator(str(result.folder.path)).Reload()
    assert events.Scalars("guard/total/range")[-1].value == 3


def test_the_same_seed_gives_the_same_bytes(
    tmp_path: Path, stream: Path, global_generators_untouched: None
) -> None:
    policy = str(untrained_policy(tmp_path / "policy"))
    first, second, other = (
        run(quick(stream, controller="policy", policy=policy, seed=seed, out=tmp_path / name))
        for name, seed in (("first", 3), ("second", 3), ("other", 4))
    )
    assert first.folder.decisions.read_bytes() == second.folder.decisions.read_bytes()
    assert first.folder.decisions.read_bytes() != other.folder.decisions.read_bytes()
    assert len({row["lr"] for row in decisions(first)}) > 1


def test_a_round_is_in_its_files_when_it_ends_so_that_a_kill_loses_none(tmp_path: Path, stream: Path) -> None:
    out, seen = tmp_path / "run", []

    def look() -> None:
        files = [out / "decisions.jsonl", out / "stream.jsonl"]
        seen.append([len(read_json_lines(path)) for path in files])
        events = EventAccumulator(str(out)).Reload()
        seen.append([point.step for point in events.Scalars("loss/bpb")])

    run(quick(stream, out=out, rounds=4), on_round=at_round(2, look))
    assert seen == [[3, 3], [0, 1, 2]]


def test_a_line_has_the_fields_promised(tmp_path: Path, stream: Path) -> None:
    row = decisions(run(quick(stream, rounds=2, out=tmp_path / "run")))[1]
    assert list(row) == [
        *("round", "loss_bpb", "lr", "batch_size", "window", "update"),
        *("updates", "spent", "guard", "drift"),
    ]
    assert (row["round"], row["guard"], row["drift"], row["update"]) == (1, None, [], True)


def test_in_shadow_the_base_stays_in_force_and_proposals_are_written_down(
    tmp_path: Path, stream: Path
) -> None:
    policy = str(untrained_policy(tmp_path / "policy"))
    base = run(quick(stream, out=tmp_path / "base"))
    shadow = run(quick(stream, controller="policy", policy=policy, shadow=True, out=tmp_path / "shadow"))
    rows = decisions(shadow)
    assert [{key: row[key] for key in row if key != "proposed"} for row in rows] == decisions(base)
    assert {tuple(row["proposed"]) for row in rows} == {("lr", "batch_size", "window", "update")}
    assert any(row["proposed"]["lr"] != row["lr"] for row in rows)
    assert all(0.4 < row["proposed"]["lr"] / row["lr"] < 2.1 for row in rows)  # a move from what is in force


def test_a_file_shadow_switches_from_its_round_on_and_back_when_it_is_taken_away(
    tmp_path: Path, stream: Path
) -> None:
    policy = str(untrained_policy(tmp_path / "policy"))
    out = tmp_path / "run"

    def act(record: RoundRecord) -> None:
        if record.round == 2:
            (out / "SHADOW").touch()
        if record.round == 5:
            (out / "SHADOW").unlink()

    result = run(quick(stream, controller="policy", policy=policy, out=out), on_round=act)
    rows = decisions(result)
    assert [row["round"] for row in rows if "proposed" in row] == [3, 4, 5]
    assert {row["lr"] for row in rows[3:6]} == {1e-3}  # the base
    assert len({row["lr"] for row in rows[6:]}) > 1
    assert read_json_lines(result.folder.switches) == [
        {"round": 3, "shadow": True},
        {"round": 6, "shadow": False},
    ]
    assert sorted(result.records.proposed) == [3, 4, 5]


def test_a_file_shadow_means_nothing_where_nothing_is_proposed(tmp_path: Path, stream: Path) -> None:
    out = tmp_path / "run"
    result = run(quick(stream, rounds=3, out=out), on_round=at_round(0, (out / "SHADOW").touch))
    assert not any("proposed" in row for row in decisions(result))


def test_the_adapted_model_is_loaded_by_transformers_and_has_learned(tmp_path: Path, stream: Path) -> None:
    result = run(quick(stream, out=tmp_path / "run"))
    model = AutoModelForCausalLM.from_pretrained(result.folder.model)
    tokenizer = AutoTokenizer.from_pretrained(result.folder.model)
    before = load_model("nano").model
    changed = [not torch.equal(a, b) for a, b in zip(model.parameters(), before.parameters(), strict=True)]
    assert all(changed)
    assert tokenizer("a").input_ids == [97]
    assert result.summary.last_bpb < result.summary.first_bpb
    again = run(quick(stream, model=str(result.folder.model), rounds=1, out=tmp_path / "again"))
    assert decisions(again)[0]["loss_bpb"] < decisions(result)[0]["loss_bpb"]


def test_never_leaves_the_weights_as_they_were(tmp_path: Path, stream: Path) -> None:
    result = run(quick(stream, controller="never", out=tmp_path / "run"))
    adapted, before = load_model(str(result.folder.model)).model, load_model("nano").model
    assert all(torch.equal(a, b) for a, b in zip(adapted.parameters(), before.parameters(), strict=True))
    assert (result.summary.updates, result.summary.spent) == (0, 0.0)


def test_a_file_stop_ends_the_run_after_its_round(tmp_path: Path, stream: Path) -> None:
    out = tmp_path / "run"
    result = run(quick(stream, out=out), on_round=at_round(2, (out / "STOP").touch))
    assert len(decisions(result)) == 3
    assert result.records.ended == "a file STOP was put into its folder"
    assert result.model_saved


def test_ctrl_c_ends_the_run_after_its_round_and_saves_it(tmp_path: Path, stream: Path) -> None:
    result = run(
        quick(stream, out=tmp_path / "run"), on_round=at_round(1, lambda: signal.raise_signal(signal.SIGINT))
    )
    assert (len(decisions(result)), result.interrupted, result.model_saved) == (2, signal.SIGINT, True)
    assert "interrupted" in result.folder.report.read_text()


def test_a_stream_too_short_for_a_chunk_is_told_in_numbers_and_leaves_no_folder(tmp_path: Path) -> None:
    stream = write_stream(tmp_path / "a.jsonl", count=1, bad=(b"{",))
    with pytest.raises(
        ValueError, match=r"after 6\d tokens \(1 rows could not.*1 invalid JSON\).*4 sequences of 32, 128"
    ):
        run(quick(stream, out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_base_rate_that_breaks_the_model_is_rolled_back_until_it_does_not(
    tmp_path: Path, stream: Path
) -> None:
    result = run(quick(stream, base_lr=3e38, out=tmp_path / "run"))
    rows = decisions(result)
    assert rows[0]["loss_bpb"] is not None
    assert [row["loss_bpb"] for row in rows].count(None) > 1  # charged, and the run went on
    assert "weights rolled back" in next(row["guard"] for row in rows if row["loss_bpb"] is None)
    assert len(rows) > 10
    assert result.model_saved  # what was good last


def test_without_snapshots_a_model_that_breaks_is_charged_and_the_run_goes_on(
    tmp_path: Path, stream: Path
) -> None:
    result = run(quick(stream, base_lr=3e38, snapshots=0, out=tmp_path / "run"))
    rows = decisions(result)
    assert rows[-1]["loss_bpb"] is None
    assert rows[-1]["guard"] is not None
    assert len(rows) > 10
    assert result.summary.last_bpb == 8.0
    assert not result.model_saved
    assert not result.folder.model.exists()


@pytest.mark.parametrize(
    ("limits", "ended"),
    [
        ({"max_tokens": 2000}, "its budget of 2,000 tokens is spent"),
        ({"max_seconds": 1e-3}, "seconds is spent"),
        ({"max_rollbacks": 1, "base_lr": 3e38}, "the 1 rollbacks that it may take did not suffice"),
        ({"max_skips": 2, "base_lr": 3e38, "snapshots": 0}, "the 2 skips that it may take did not suffice"),
    ],
)
def test_a_budget_that_is_spent_ends_the_run_cleanly_and_says_so(
    limits: dict[str, Any], ended: str, tmp_path: Path, stream: Path
) -> None:
    result = run(quick(stream, out=tmp_path / "run", **limits))
    assert ended in str(result.records.ended)
    assert ended in result.folder.report.read_text()
    assert 1 <= len(decisions(result)) < 15
    assert result.model_saved == ("snapshots" not in limits)


def test_shadow_is_rolled_back_and_its_budgets_end_it_too(tmp_path: Path, stream: Path) -> None:
    policy = str(untrained_policy(tmp_path / "policy"))
    given = {"controller": "policy", "policy": policy, "shadow": True, "base_lr": 3e38, "max_rollbacks": 2}
    result = run(quick(stream, out=tmp_path / "run", **given))
    assert "rollbacks" in str(result.records.ended)
    assert all("proposed" in row for row in decisions(result))


def test_what_lies_in_the_folder_is_never_overwritten(tmp_path: Path, stream: Path) -> None:
    out = tmp_path / "run"
    run(quick(stream, rounds=1, out=out))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="already holds a run"):
        run(quick(stream, rounds=1, out=out))
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_run_does_not_write_into_the_folder_it_reads(tmp_path: Path, stream: Path) -> None:
    with pytest.raises(ValueError, match="into its own stream"):
        run(quick(stream.parent, out=stream.parent / "runs" / "one"))
    assert [path.name for path in tmp_path.iterdir()] == [stream.name]


def test_a_folder_is_for_its_owner_only_and_tells_what_decides(tmp_path: Path, stream: Path) -> None:
    policy = str(untrained_policy(tmp_path / "policy"))
    result = run(quick(stream, rounds=1, controller="policy", policy=policy, out=tmp_path / "run"))
    assert result.folder.path.stat().st_mode & 0o777 == 0o700
    config = result.folder.read_config()
    assert config["versions"]["torch"] == torch.__version__
    assert len(config["policy"]["sha256"]) == len(config["model"]["weights_sha256"]) == 64
    assert config["corpus_sha256"] is None
    [maps] = EventAccumulator(str(result.folder.path)).Reload().Images("policy/map")
    assert maps.step == 0
    assert maps.encoded_image_string == policy_picture(load_policy(policy))


def test_builtin_text_is_told_by_its_checksum(tmp_path: Path) -> None:
    result = run(quick("builtin:manual", rounds=1, out=tmp_path / "run"))
    assert len(result.folder.read_config()["corpus_sha256"]) == 64
