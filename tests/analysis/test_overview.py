from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olrl.analysis.figures import save_run_figure
from olrl.analysis.overview import MAX_EVENTS, Overview, overview, read_overview
from olrl.analysis.records import RunRecords, read_run, smooth, smoothing
from olrl.analysis.summary import MAX_SOURCES, OTHER_SOURCES, Summariser, summarise
from tests.run_folders import make_run, row

ROUNDS = 9_000  # three blocks, stretches of nine


def rows() -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    made = [row(k, float(loss)) for k, loss in enumerate(rng.uniform(2, 4, ROUNDS))]
    made[1234]["loss_bpb"] = 7.5
    made[2345]["loss_bpb"] = None
    made[3456] |= {"guard": "loss missing or not finite"}
    made[4567] |= {"lr": 8e-3, "batch_size": 64, "window": 0}
    made[5678] |= {"update": False, "updates": 0, "spent": 0.0}
    for k in range(0, ROUNDS, 100):
        made[k]["drift"] = ["adwin"]
    return made


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunRecords, Overview]:
    folder = make_run(tmp_path_factory.mktemp("runs") / "long", rows())
    return read_run(folder), read_overview(folder)


def test_totals_taken_in_block_by_block_are_those_of_the_whole(long: tuple[RunRecords, Overview]) -> None:
    run, seen = long
    whole, streamed = summarise(run), seen.summary
    assert len(run) == ROUNDS
    for name, value in vars(whole).items():
        if name != "sources":
            assert getattr(streamed, name) == (pytest.approx(value) if isinstance(value, float) else value)
    assert [s.loss_bpb for s in streamed.sources] == pytest.approx([s.loss_bpb for s in whole.sources])


def test_what_a_figure_shows_is_kept_and_little_else(long: tuple[RunRecords, Overview]) -> None:
    _, seen = long
    kept = seen.kept
    assert {0, 1234, 2345, 3456, 4567, 5678, ROUNDS - 1} <= set(kept.round.tolist())
    assert len(kept) < 6_000
    assert (np.diff(kept.round) > 0).all()
    assert [int(kept.round[k]) for k in kept.drift] == list(range(0, ROUNDS, 100))
    assert [int(kept.round[k]) for k in kept.guard] == [3456]


def test_the_smoothed_loss_is_that_of_all_rounds(long: tuple[RunRecords, Overview]) -> None:
    run, seen = long
    everything = smooth(run.loss_bpb, rounds=smoothing(ROUNDS))
    assert seen.kept.smoothed_bpb is not None
    assert seen.kept.smoothed_bpb.tolist() == everything[seen.kept.round].tolist()


def test_events_are_cut_short_and_counted(long: tuple[RunRecords, Overview]) -> None:
    _, seen = long
    assert (len(seen.events), seen.n_events) == (MAX_EVENTS, 91)
    assert seen.events[1] == (100, "drift alarm", "adwin")


@pytest.mark.parametrize("size", [7, 1000, ROUNDS])
def test_it_does_not_matter_how_the_rounds_are_cut_into_blocks(
    long: tuple[RunRecords, Overview], size: int
) -> None:
    run, seen = long
    blocks = (run.take(np.arange(k, min(k + size, ROUNDS))) for k in range(0, ROUNDS, size))
    other = overview(blocks, rounds=ROUNDS)
    assert other.kept.round.tolist() == seen.kept.round.tolist()
    assert other.events == seen.events
    assert other.summary.moves == seen.summary.moves


def test_a_long_run_has_a_figure(tmp_path: Path, long: tuple[RunRecords, Overview]) -> None:
    assert save_run_figure(long[1].kept, tmp_path / "a.png").stat().st_size > 10_000


def test_a_short_run_is_kept_whole(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [row(k, 3.0) for k in range(50)])
    assert read_overview(folder).kept.round.tolist() == list(range(50))


def test_a_million_sources_are_not_told_apart(tmp_path: Path) -> None:
    count = MAX_SOURCES + 5
    arrived = [{"round": k, "source": f"{k}.txt", "segment": 0, "n_bytes": 9} for k in range(count)]
    run = read_run(make_run(tmp_path / "run", [row(k, 3.0) for k in range(count)], arrived))
    last = summarise(run).sources[-1]
    assert (last.source, last.rounds) == (OTHER_SOURCES, 5)


def test_a_run_of_no_rounds_has_no_totals() -> None:
    with pytest.raises(ValueError, match="at least 1 round"):
        Summariser(rounds=0)
