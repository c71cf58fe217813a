from pathlib import Path

import numpy as np
import pytest

from olrl.analysis.overview import read_overview
from olrl.analysis.records import BLOCK_ROUNDS
from olrl.analysis.report import report
from olrl.dashboard.folders import comparable
from olrl.run_folder import RunFolder
from tests.run_folders import CONFIG, PRIVATE, make_run, row


def test_regret_and_savings_are_as_worked_out_by_hand(tmp_path: Path) -> None:
    mine = make_run(
        tmp_path / "a", [row(0, 9.0), row(1, 3.0), row(2, 2.0, update=False, spent=0.0), row(3, None)]
    )
    base = make_run(tmp_path / "b", [row(k, 2.5) for k in range(5)])
    seen = read_overview(mine, against=base)
    kept = seen.kept
    assert kept.regret_bpb is not None
    assert kept.saved_share is not None
    assert kept.regret_bpb.tolist() == [0.0, 0.5, 0.0, 5.5 / 3]  # round 0 decides nothing, null costs 8
    assert kept.saved_share.tolist() == pytest.approx([1 / 16, 1 / 16, 72 / 192, 76 / 256])
    assert seen.regret_bpb == pytest.approx(13 / 3 - 2.5)
    assert seen.reference is not None
    assert seen.reference.rounds == 4
    assert (
        "Against policy (b), on the same chunks, it paid 1.8333 bits per byte more (73.3% of 2.5000)"
        in report(seen)
    )


def test_sums_go_on_from_block_to_block(tmp_path: Path) -> None:
    rounds = BLOCK_ROUNDS + 500
    mine = make_run(tmp_path / "a", [row(k, 2.0) for k in range(rounds)])
    base = make_run(tmp_path / "b", [row(k, 3.0 if k < BLOCK_ROUNDS else 2.0) for k in range(rounds)])
    kept = read_overview(mine, against=base).kept
    assert kept.regret_bpb is not None
    assert kept.regret_bpb[-1] == pytest.approx(-(BLOCK_ROUNDS - 1) / (rounds - 1))
    assert kept.saved_share is not None
    assert np.allclose(kept.saved_share, 1 / 16)


def test_a_run_of_other_text_is_no_reference(tmp_path: Path) -> None:
    mine = make_run(tmp_path / "a", [row(0, 2.0), row(1, 2.0)])
    other = [{"round": k, "source": "mail.jsonl", "segment": 0, "n_bytes": 100 + k} for k in range(2)]
    with pytest.raises(ValueError, match="did not read the same chunks: round 1 holds 100 bytes"):
        read_overview(mine, against=make_run(tmp_path / "b", [row(0, 2.0), row(1, 2.0)], other))


@pytest.mark.parametrize("private", [0, 1])
def test_a_run_whose_losses_are_withheld_is_compared_with_none(tmp_path: Path, private: int) -> None:
    configs = [CONFIG, CONFIG]
    configs[private] = PRIVATE
    mine, theirs = (
        make_run(tmp_path / name, [row(0, 2.0), row(1, 2.0)], config=config)
        for name, config in zip("ab", configs, strict=True)
    )
    with pytest.raises(ValueError, match="differential privacy are withheld"):
        read_overview(mine, against=theirs)
    assert comparable(mine, [theirs]) == []


def test_a_shorter_run_is_no_reference(tmp_path: Path) -> None:
    mine = make_run(tmp_path / "a", [row(k, 2.0) for k in range(3)])
    short: RunFolder = make_run(tmp_path / "b", [row(0, 2.0)])
    with pytest.raises(ValueError, match="has 1 rounds and the run 3"):
        read_overview(mine, against=short)
