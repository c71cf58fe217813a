from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c as reference

from olrl.event_file import EventFile, masked_crc32c


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 8, 1023, 1024, 1025, 1026, 1027, 1028, 5000])
def test_the_checksum_is_tensorboards_own(length: int) -> None:
    data = np.random.default_rng(length).bytes(length)
    assert masked_crc32c(data) == reference(data)


def written(folder: Path) -> list[tuple[int, list[str]]]:
    (path,) = folder.iterdir()
    events = EventFileLoader(str(path)).Load()
    return [(event.step, [value.tag for value in event.summary.value]) for event in events]


def test_an_event_is_in_the_file_before_it_is_closed(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    for step in range(3):
        file.add(Summary(value=[Summary.Value(tag=f"a{step}", simple_value=1.0)]), step=step)
        assert written(tmp_path)[1:] == [(k, [f"a{k}"]) for k in range(step + 1)]
    file.close()


def test_a_record_cut_off_by_a_kill_leaves_those_before_it(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    for step in range(3):
        file.add(Summary(value=[Summary.Value(tag="a", simple_value=1.0)]), step=step)
    file.close()
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-3])
    assert [step for step, _ in written(tmp_path)[1:]] == [0, 1]


def test_two_files_of_one_second_have_different_names(tmp_path: Path) -> None:
    files = [EventFile(tmp_path) for _ in range(2)]
    for file in files:
        file.close()
    assert len(list(tmp_path.iterdir())) == 2
