import math
from pathlib import Path

import pytest

from olrl.analysis.records import read_run
from olrl.analysis.summary import summarise
from tests.run_folders import make_run, row


def test_the_loss_is_weighted_by_bytes_and_leaves_out_the_round_before_any_decision(tmp_path: Path) -> None:
    sizes = (1000, 100, 300)
    arrived = [{"round": k, "source": "a", "segment": 0, "n_bytes": n} for k, n in enumerate(sizes)]
    run = read_run(make_run(tmp_path / "run", [row(0, 7.0), row(1, 2.0), row(2, 4.0)], arrived))
    assert summarise(run).loss_bpb == pytest.approx((100 * 2.0 + 300 * 4.0) / 400)


def test_a_loss_that_was_not_finite_is_charged_eight_bits_and_stays_in(tmp_path: Path) -> None:
    summary = summarise(read_run(make_run(tmp_path / "run", [row(0, 2.0), row(1, None), row(2, 2.0)])))
    assert (summary.loss_bpb, summary.nonfinite) == (5.0, 1)


def test_a_run_of_a_single_round_has_a_loss(tmp_path: Path) -> None:
    assert summarise(read_run(make_run(tmp_path / "run", [row(0, 3.0)]))).loss_bpb == 3.0


def test_the_reservoir_is_the_largest_window_and_not_the_smallest(tmp_path: Path) -> None:
    rows = [row(0, 3.0, window=4), row(1, 3.0, window=0), row(2, 3.0, window=64)]
    summary = summarise(read_run(make_run(tmp_path / "run", rows)))
    assert summary.ranges["window"] == ("4", "reservoir")
    assert summary.moves == {"lr": 0, "batch_size": 0, "window": 2}


def test_guard_reasons_that_differ_in_numbers_only_are_counted_together(tmp_path: Path) -> None:
    rows = [row(0, 3.0, guard="loss 9.1 above 3 times 2e-05"), row(1, 3.0, guard="loss 12 above 3 times 2.5")]
    summary = summarise(read_run(make_run(tmp_path / "run", rows)))
    assert summary.guard == {"loss … above … times …": 2}
    told = (f"grad_snr_3 is {x} outside of the training range" for x in (6.58, -1.5e3))
    rows = [row(k, 3.0, guard=reason) for k, reason in enumerate(told)]
    summary = summarise(read_run(make_run(tmp_path / "named", rows)))
    assert summary.guard == {"grad_snr_3 is … outside of the training range": 2}


def test_losses_are_told_apart_by_source(tmp_path: Path) -> None:
    arrived = [{"round": k, "source": name, "segment": 0, "n_bytes": 10} for k, name in enumerate("abab")]
    rows = [row(k, loss) for k, loss in enumerate((1.0, 2.0, 3.0, 4.0))]
    sources = summarise(read_run(make_run(tmp_path / "run", rows, arrived))).sources
    assert [(s.source, s.rounds, s.loss_bpb) for s in sources] == [("a", 2, 2.0), ("b", 2, 3.0)]


def test_a_run_that_was_killed_in_the_middle_of_a_line_is_read_up_to_there(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [row(0, 2.0), row(1, 2.0)])
    folder.decisions.write_text(folder.decisions.read_text() + '{"round": 2, "loss')
    assert len(read_run(folder)) == 2


def test_damage_in_the_middle_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [row(0, 2.0), row(1, 2.0)])
    folder.decisions.write_text("{broken\n" + folder.decisions.read_text())
    with pytest.raises(ValueError, match="line 1 is damaged"):
        read_run(folder)


def test_a_loss_without_a_form_in_json_is_refused_when_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        make_run(tmp_path / "run", [row(0, math.nan)])
