import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olrl.analysis.following import RunFollower
from olrl.analysis.overview import MAX_EVENTS, STRETCHES, read_overview
from olrl.run_folder import RunFolder
from tests.run_folders import make_run, row

ROUNDS = 9_000


def rows(count: int = ROUNDS) -> list[dict[str, Any]]:
    losses = np.random.default_rng(0).uniform(2, 4, count)
    made = [row(k, float(loss)) for k, loss in enumerate(losses)]
    for k in range(0, count, 100):
        made[k]["drift"] = ["adwin"]
    return made


def append(folder: RunFolder, more: list[dict[str, Any]]) -> None:
    for path, lines in (
        (folder.stream, [{"round": r["round"], "source": "a", "segment": 0, "n_bytes": 100} for r in more]),
        (folder.decisions, more),
    ):
        with path.open("a") as file:
            file.write("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    made = rows()
    made[1234]["loss_bpb"] = 7.5
    made[3456] |= {"guard": "loss missing or not finite"}
    return make_run(tmp_path_factory.mktemp("runs") / "long", made)


def test_what_was_followed_is_what_is_read_at_once(long: RunFolder) -> None:
    follower = RunFollower(long)
    follower.read(60.0)
    seen, whole = follower.overview(), read_overview(long)
    assert seen is not None
    for name in ("rounds", "alarms", "guard", "updates", "ranges", "moves"):
        assert getattr(seen.summary, name) == getattr(whole.summary, name), name
    for name in ("loss_bpb", "spent"):
        assert getattr(seen.summary, name) == pytest.approx(getattr(whole.summary, name)), name
    assert seen.summary.first_bpb == pytest.approx(whole.summary.first_bpb, abs=5e-3)
    assert seen.summary.last_bpb == pytest.approx(whole.summary.last_bpb, abs=5e-3)
    assert {0, 1234, 3456, ROUNDS - 1} <= set(seen.kept.round.tolist())
    assert len(seen.kept) < 6 * STRETCHES
    assert (seen.n_events, seen.events[-1][0], len(seen.events)) == (91, 8900, MAX_EVENTS)
    assert follower.progress == 1.0


def test_it_does_not_matter_when_one_looked(long: RunFolder, tmp_path: Path) -> None:
    made = rows()
    folder = make_run(tmp_path / "run", made[:1])
    follower = RunFollower(folder)
    for start in (1, 50, 4_000, 4_200, 8_999):
        append(folder, made[start : {1: 50, 50: 4_000, 4_000: 4_200, 4_200: 8_999, 8_999: 9_000}[start]])
        follower.read(60.0)
    late = RunFollower(folder)
    late.read(60.0)
    one, other = follower.overview(), late.overview()
    assert one is not None
    assert other is not None
    assert one.kept.round.tolist() == other.kept.round.tolist()
    assert one.kept.smoothed_bpb is not None
    assert one.kept.smoothed_bpb == pytest.approx(other.kept.smoothed_bpb)
    assert one.summary.last_bpb == pytest.approx(other.summary.last_bpb)
    assert one.events == other.events


def test_a_short_run_is_kept_whole_and_smoothed_as_in_its_report(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", rows(300))
    follower = RunFollower(folder)
    follower.read()
    seen = follower.overview()
    assert seen is not None
    assert len(seen.kept) == 300
    assert seen.kept.smoothed()[1] == read_overview(folder).kept.smoothed()[1]


def test_reading_ends_when_its_time_is_up_and_goes_on_at_the_next_look(long: RunFolder) -> None:
    follower = RunFollower(long)
    follower.read(0.0)
    assert 0 < follower.rounds < ROUNDS
    assert 0.4 < follower.progress < 0.6
    while follower.progress < 1.0:
        follower.read(0.0)
    follower.read(0.0)
    assert follower.rounds == ROUNDS


def test_a_run_that_was_gone_on_with_from_an_earlier_place_is_read_anew(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", rows(200))
    follower = RunFollower(folder)
    follower.read()
    for path in (folder.decisions, folder.stream):
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:150]))
    follower.read()
    follower.read()
    assert follower.rounds == 150


def test_with_another_run_both_are_known_as_far_as_both_are(tmp_path: Path) -> None:
    mine = make_run(tmp_path / "mine", [row(k, 3.0) for k in range(80)])
    theirs = make_run(tmp_path / "base", [row(k, 3.5) for k in range(50)])
    follower = RunFollower(mine, against=theirs)
    follower.read()
    assert follower.rounds == 50
    seen = follower.overview()
    assert seen is not None
    assert seen.regret_bpb == pytest.approx(-0.5)
    assert seen.reference_name == "policy (base)"
    append(theirs, [{**row(k, 3.5)} for k in range(50, 60)])
    with pytest.raises(ValueError, match=r"round 50 .*'mail\.jsonl'.*'a'"):
        follower.read()


def test_before_its_first_round_nothing_is_known(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.write_config({"kind": "run", "run": {}})
    follower = RunFollower(folder)
    follower.read()
    assert follower.overview() is None


def test_rows_that_could_not_be_used_are_counted_while_it_runs(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", rows(5))
    folder.dead_letter.write_text('{"reason": "empty"}\n' * 3)
    follower = RunFollower(folder)
    follower.read()
    seen = follower.overview()
    assert seen is not None
    assert seen.summary.dead_letters == {"empty": 3}
