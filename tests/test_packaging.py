"""What a user gets: the wheel and the source archive, built from the tree without a network."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from olrl.models.load import SHIPPED

ROOT = Path(__file__).parents[1]


def build(what: str, out: Path, *, tree: Path = ROOT) -> Path:
    command = [sys.executable, "-m", "build", f"--{what}", "--no-isolation", "--outdir", str(out), str(tree)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    (built,) = out.iterdir()
    return built


def files_of(folder: str) -> set[str]:
    """Files under `folder`, relative to the root of the tree, without what Python leaves behind."""
    files = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    return {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    with zipfile.ZipFile(build("wheel", tmp_path_factory.mktemp("wheel"))) as archive:
        return set(archive.namelist())


def test_the_wheel_occupies_no_name_but_its_own(wheel: set[str]) -> None:
    # `agents` is the import name of another package, which a wheel with that folder would overwrite.
    tops = {name.split("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"olrl"}


@pytest.mark.parametrize("folder", ["envs", "agents"])
def test_the_wheel_holds_the_linked_folders_as_packages(wheel: set[str], folder: str) -> None:
    missing = {f"olrl/{name}" for name in files_of(folder)} - wheel
    assert missing == set()


@pytest.mark.parametrize("folder", ["olrl/models", "olrl/policies"])
def test_the_wheel_holds_the_weights_that_ship(wheel: set[str], folder: str) -> None:
    data = {name for name in files_of(folder) if name.endswith((".safetensors", ".json", ".md"))}
    assert any(name.endswith(".safetensors") for name in data)
    assert data - wheel == set()


def test_each_model_that_is_said_to_ship_is_in_the_wheel(wheel: set[str]) -> None:
    needed = ("model.safetensors", "config.json", "tokenizer.json", "olrl.json")
    assert {f"olrl/models/{name}/{file}" for name in SHIPPED for file in needed} - wheel == set()


def test_the_wheel_names_its_commands_types_and_licence(wheel: set[str]) -> None:
    assert "olrl/py.typed" in wheel
    ends = ("dist-info/entry_points.txt", "dist-info/licenses/LICENSE")
    assert [end for end in ends if not any(name.endswith(end) for name in wheel)] == []


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive, unpacked."""
    out = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(build("sdist", tmp_path_factory.mktemp("sdist"))) as archive:
        archive.extractall(out, filter="data")
    (tree,) = out.iterdir()
    return tree


def test_the_source_archive_holds_what_building_and_testing_need(unpacked: Path) -> None:
    needed = {
        "pyproject.toml",
        "constraints.txt",
        "LICENSE",
        "README.md",
        "scripts/setup",
        "tests/conftest.py",
    }
    needed |= files_of("envs") | files_of("agents")
    assert {name for name in needed if not (unpacked / name).is_file()} == set()


def test_the_source_archive_builds_the_same_wheel(wheel: set[str], unpacked: Path, tmp_path: Path) -> None:
    # The links are not in the archive; the folders must be mapped all the same.
    with zipfile.ZipFile(build("wheel", tmp_path, tree=unpacked)) as archive:
        assert set(archive.namelist()) == wheel
