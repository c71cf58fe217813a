import json
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.readback import LIGHTNING_WARNINGS, TRL_WARNINGS, expected
from tests.adapters.two_processes import LOOPS

pytestmark = [*LIGHTNING_WARNINGS, *TRL_WARNINGS]

ROOT = Path(__file__).parents[2]
SIZE = 2


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes with gloo tells of every loop."""
    folder = tmp_path_factory.mktemp("ranks")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={SIZE}"]
    command = [*launch, "-m", "tests.adapters.two_processes", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=500, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(SIZE)]


@pytest.mark.slow
@pytest.mark.parametrize("loop", [name for name in LOOPS if name != "sharded"])  # it has a policy decide
def test_every_rank_takes_its_slice_of_one_shared_decision_and_nothing_is_lost(
    ranks: list[dict[str, Any]], loop: str
) -> None:
    wanted = expected(size=10**9)
    one, other = (rank[loop]["steps"] for rank in ranks)
    assert one["rates"] == other["rates"] == wanted.rates
    # In each pass there may be something that waits for the other rank.
    assert list(map(len, one["passes"])) == list(map(len, other["passes"]))
    for batch, mine, theirs in zip(wanted.batches, one["batches"], other["batches"], strict=True):
        if len(batch) == 1:
            assert mine == theirs == batch  # the second goes through the motions, and counts for nothing
        else:
            share = len(batch[1::SIZE])
            assert set(theirs[share:]) <= {batch[1]}  # a pass through the motions, as above
            slices = [mine, theirs[:share]]
            assert slices == [batch[0::SIZE], batch[1::SIZE]]
            assert sorted(chain(*slices)) == sorted(batch)


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
def test_signals_and_weights_equal_those_of_one_process(
    ranks: list[dict[str, Any]], loop: str, tmp_path: Path
) -> None:
    alone = LOOPS[loop](tmp_path)
    assert ranks[0][loop]["signals"] == ranks[1][loop]["signals"]
    assert ranks[0][loop]["weights"] == ranks[1][loop]["weights"]
    assert ranks[0][loop].get("decisions") == ranks[1][loop].get("decisions") == alone.get("decisions")
    assert ranks[0][loop]["weights"] == pytest.approx(alone["weights"], rel=1e-4, abs=1e-6)
    for several, single in zip(ranks[0][loop]["signals"], alone["signals"], strict=True):
        for name, value in single.items():
            # Trainer takes the noise from halves of a batch when it is alone, else from two batches.
            if name == "grad_snr":
                continue
            value = list(value) if isinstance(value, tuple) else value  # as JSON has it
            close = pytest.approx(value, rel=2e-3, abs=1e-5) if isinstance(value, float) else value
            assert several[name] == close, name
