import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def benchmark(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "benchmark.py"), "--quick", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def measured(out: Path, *options: str) -> dict[str, Any]:
    ended = benchmark("--repeat", "1", "--out", str(out), *options)
    assert ended.returncode == 0, ended.stderr
    result: dict[str, Any] = json.loads(out.read_text())
    return result


@pytest.mark.slow
def test_two_versions_are_measured_in_turn_and_their_ratio_is_told(tmp_path: Path) -> None:
    result = measured(tmp_path / "a.json", "--section", "tracking", "--against", str(ROOT))
    assert result["trees"] == ["this", "other"]
    figures = result["sections"]["tracking"]["written"]["figures"]
    assert list(figures) == ["decisions.jsonl and stream.jsonl", "TensorBoard", "all"]
    for figure in figures.values():
        assert figure["ratio"] == pytest.approx(figure["this"]["median"] / figure["other"]["median"])
        assert figure["this"]["best"] <= figure["this"]["median"]


@pytest.mark.slow
def test_what_a_version_lacks_is_absent_and_the_rest_is_measured(tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "olrl").mkdir(parents=True)
    (other / "olrl" / "__init__.py").touch()  # a version that has nothing yet
    result = measured(tmp_path / "a.json", "--section", "ppo", "--against", str(other))
    part = result["sections"]["ppo"]["surrogate"]
    assert part["absent"] == {"other": "no module olrl.agents.ppo.recipe"}
    assert part["figures"]["end to end"]["this"]["median"] > 0
    assert "other" not in part["figures"]["end to end"]


@pytest.mark.slow
def test_tables_show_every_figure() -> None:
    ended = benchmark("--repeat", "1", "--section", "decision", "--markdown")
    assert ended.returncode == 0, ended.stderr
    assert "| policy.act | µs |" in ended.stdout


def test_a_folder_that_is_no_checkout_is_refused_in_one_sentence(tmp_path: Path) -> None:
    ended = benchmark("--against", str(tmp_path))
    assert ended.returncode == 2
    assert "is no checkout of olrl" in ended.stderr
    assert "Traceback" not in ended.stderr
