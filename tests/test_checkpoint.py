import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from safetensors import SafetensorError

import olrl.checkpoint
from olrl.checkpoint import Checkpoints, cut_back, disk_errors

BOUNDARIES = ("mkdir", "rename", "fsync", "open", "rmtree")


class Killed(BaseException):
    """What a SIGKILL looks like from within: nothing after it is done, no handler either."""


def state(step: int) -> dict[str, Any]:
    return {"step": step, "weights": np.full(50, float(step)), "text": "größer"}


def checkpoints(folder: Path) -> Checkpoints:
    return Checkpoints(folder, kind="test")


def stops_at(boundary: int, patch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Killed before the call number `boundary` of those that change the disk; tells how many there were."""
    calls = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > boundary:
                raise Killed
            return call(*args, **kwargs)

        return wrapped

    patch.setattr(Path, "mkdir", counted(Path.mkdir))
    patch.setattr(Path, "rename", counted(Path.rename))
    patch.setattr(os, "fsync", counted(os.fsync))
    patch.setattr(os, "open", counted(os.open))
    patch.setattr(shutil, "rmtree", counted(shutil.rmtree))
    patch.setattr(olrl.checkpoint, "save_file", counted(safetensors.numpy.save_file))
    return lambda: calls


def test_a_kill_at_every_boundary_leaves_the_newest_or_the_one_before(tmp_path: Path) -> None:
    before = tmp_path / "before"
    for step in range(2):
        checkpoints(before).save(state(step))
    found, boundary = set[int](), 0
    while True:
        folder = tmp_path / f"killed-{boundary}"
        shutil.copytree(before, folder)
        with pytest.MonkeyPatch.context() as patch:
            made = stops_at(boundary, patch)
            try:
                checkpoints(folder).save(state(2))
            except Killed:
                pass
            else:
                break
            assert made() == boundary + 1
        newest = checkpoints(folder).newest()
        assert newest is not None
        found.add(newest.state["step"])
        checkpoints(folder).save(state(3))  # what was left half-written is in nobody's way
        assert checkpoints(folder).newest().state["weights"].tolist() == [3.0] * 50  # type: ignore[union-attr]
        assert not list(folder.glob(".*"))
        boundary += 1
    assert found == {1, 2}
    assert boundary > 10


@pytest.mark.parametrize("file", ["manifest.json", "state.json", "arrays.safetensors"])
@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_a_damaged_checkpoint_is_passed_over_with_a_sentence(tmp_path: Path, file: str, harm: str) -> None:
    for step in range(2):
        checkpoints(tmp_path).save(state(step))
    path = tmp_path / "00000001" / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    if harm != "remove":
        path.write_bytes(content if harm == "flip" else content[: len(content) // 2])
    told: list[str] = []
    newest = checkpoints(tmp_path).newest(told.append)
    if harm == "flip" and file == "manifest.json" and newest is not None and newest.number == 1:
        return  # the bit was in what the manifest says for people
    assert newest is not None
    assert newest.state["step"] == 0
    assert len(told) == 1
    assert "00000001 is damaged" in told[0]


def test_when_all_are_damaged_it_is_said_and_nothing_is_made_up(tmp_path: Path) -> None:
    checkpoints(tmp_path).save(state(0))
    (tmp_path / "00000000" / "state.json").write_text("{}")
    with pytest.raises(ValueError, match=r"state\.json is not what was written.*begin anew"):
        checkpoints(tmp_path).newest()


def test_a_checkpoint_of_another_kind_is_refused(tmp_path: Path) -> None:
    Checkpoints(tmp_path, kind="olrl train").save(state(0))
    with pytest.raises(ValueError, match="it is a olrl train of format 1, and this version reads a olrl run"):
        Checkpoints(tmp_path, kind="olrl run").newest()


def test_a_full_disk_leaves_the_older_ones_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints(tmp_path).save(state(0))

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            checkpoints(tmp_path).save(state(1))
    assert [path.name for path in tmp_path.iterdir()] == ["00000000"]
    assert checkpoints(tmp_path).newest().state["step"] == 0  # type: ignore[union-attr]


def test_what_safetensors_says_of_a_full_disk_is_an_oserror(tmp_path: Path) -> None:
    said = "Error while serializing: I/O error: No space left on device (os error 28)"
    with pytest.raises(OSError, match="No space left") as caught, disk_errors(tmp_path / "arrays"):
        raise SafetensorError(said)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "arrays"))


def test_what_safetensors_says_of_a_folder_that_is_not_there_has_its_number(tmp_path: Path) -> None:
    """The words are the library's: this fails when it chooses others."""
    with pytest.raises(OSError, match="No such file"), disk_errors(tmp_path):
        safetensors.numpy.save_file({"x": np.zeros(1)}, tmp_path / "nowhere" / "arrays")


def test_going_on_from_an_older_one_removes_the_later_ones(tmp_path: Path) -> None:
    for step in range(2):
        checkpoints(tmp_path).save(state(step))
    checkpoints(tmp_path).drop_after(0)
    assert checkpoints(tmp_path).numbers() == [0]


def test_only_the_owner_may_read_them_and_they_say_what_they_hold(tmp_path: Path) -> None:
    saved = checkpoints(tmp_path / "c").save(state(0), about={"rounds": 3})
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "c", saved)] == [0o700, 0o700]
    manifest = (saved / "manifest.json").read_text()
    assert "text of the stream" in manifest
    assert '"rounds": 3' in manifest


def test_a_file_is_cut_back_and_one_that_lost_something_is_told(tmp_path: Path) -> None:
    path = tmp_path / "log"
    cut_back(path, 0)  # not there then, not there now
    path.write_bytes(b"one two")
    cut_back(path, 3)
    assert path.read_bytes() == b"one"
    with pytest.raises(ValueError, match="has 3 bytes and had 5"):
        cut_back(path, 5)
