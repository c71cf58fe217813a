import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olrl.learners.causal_lm import CausalLMLearner
from tests.learners.sharded_processes import CASES, play

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What two processes with gloo tell of each case."""
    out = tmp_path_factory.mktemp("ranks") / "told.json"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*launch, "-m", "tests.learners.sharded_processes", str(out)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=580, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr[-3000:]
    told: dict[str, Any] = json.loads(out.read_text())
    return told


@pytest.mark.parametrize("name", CASES)
def test_two_processes_are_told_what_one_is_told(by_two: dict[str, Any], name: str) -> None:
    build, optimizer = CASES[name]
    alone, several = play(CausalLMLearner(build(), optimizer=optimizer)), by_two[name]
    for mine, theirs in zip(alone["scores"], several["scores"], strict=True):
        assert theirs == pytest.approx(mine, rel=1e-4)
    for mine, theirs in zip(alone["reports"], several["reports"], strict=True):
        for signal, value in mine.items():
            # Of the move that broke the weights one process says inf, and several that it is unknown.
            if isinstance(value, float) and not math.isfinite(value):
                value = None
            close = pytest.approx(value, rel=2e-3, abs=1e-5) if isinstance(value, float) else value
            assert theirs[signal] == close, signal
    assert alone["reports"][4]["nonfinite"] == 2, "nothing was broken, and nothing was put back"


@pytest.mark.parametrize("name", CASES)
def test_their_state_is_that_of_one_process(by_two: dict[str, Any], name: str) -> None:
    build, optimizer = CASES[name]
    alone = play(CausalLMLearner(build(), optimizer=optimizer))
    theirs = by_two[name]["state"]
    assert theirs.keys() == alone["state"].keys()
    for part, value in alone["state"].items():
        np.testing.assert_allclose(theirs[part], value, rtol=5e-3, atol=5e-5, err_msg=part)
