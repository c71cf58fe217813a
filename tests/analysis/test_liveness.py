import time
from pathlib import Path

import pytest

from olrl.analysis.liveness import kind_of, liveness
from olrl.folder_lock import FolderLock
from olrl.run_folder import RunFolder
from tests.run_folders import make_run, row


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path / "run", [row(0, 3.0)])


def test_a_run_that_is_held_is_running_and_silent_after_a_minute_without_a_round(folder: RunFolder) -> None:
    with FolderLock(folder.path):
        assert liveness(folder).state == "running"
        silent = liveness(folder, now_s=time.time() + 119.0)
    assert (silent.state, silent.goes_on) == ("silent", True)
    assert "Nothing new for 1" in silent.told


def test_a_run_that_nobody_holds_is_dead_or_over(folder: RunFolder) -> None:
    assert liveness(folder).state == "dead"
    assert "--resume" in liveness(folder).told
    folder.ending.write_text('{"ended": "the stream ended", "seconds": 1, "dead_letters": {}}\n')
    assert (liveness(folder).state, liveness(folder).told) == ("over", "Over: the stream ended.")


def test_a_stop_that_was_asked_for_is_said(folder: RunFolder) -> None:
    folder.stop.touch()
    with FolderLock(folder.path):
        assert "ends after its round" in liveness(folder).told
    assert (liveness(folder).state, "--resume" in liveness(folder).told) == ("over", True)


def test_a_training_is_told_of_as_one(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "train")
    folder.write_config({"command": "train"})
    with FolderLock(folder.path):
        assert "plays runs to learn from" in liveness(folder, now_s=time.time() + 1000.0).told
        folder.stop.touch()
        assert "ends at its next step" in liveness(folder).told


def test_to_look_does_not_keep_a_run_from_starting(folder: RunFolder) -> None:
    import fcntl
    import os
    import threading

    looking = os.open(folder.path, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    threading.Timer(0.01, os.close, [looking]).start()
    with FolderLock(folder.path):
        pass


def test_what_wrote_a_folder_is_told_from_its_configuration(folder: RunFolder, tmp_path: Path) -> None:
    assert kind_of(folder) == "run"
    other = RunFolder.create(tmp_path / "train")
    other.write_config({"command": "train"})
    assert kind_of(other) == "train"
