from pathlib import Path

import pytest

from olrl.analysis.tail import CutBack, Tail


def test_rows_come_once_and_half_a_line_waits(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    tail = Tail(path)
    assert tail.rows(5) == []
    path.write_bytes(b'{"round": 0}\n\n{"round": 1}\n{"rou')
    assert tail.rows(1) == [{"round": 0}]
    assert tail.rows(5) == [{"round": 1}]
    with path.open("ab") as file:
        file.write(b'nd": 2}\n')
    assert tail.rows(5) == [{"round": 2}]
    assert tail.place == tail.size


@pytest.mark.parametrize("content", [b'{"round": 0}\n', b'{"round": 7}\n{"round": 8}\n{"round": 9}\n'])
def test_a_file_that_was_cut_back_or_replaced_is_noticed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"round": 0}\n{"round": 1}\n')
    tail = Tail(path)
    tail.rows(5)
    path.write_bytes(content)
    with pytest.raises(CutBack):
        tail.rows(5)
    path.unlink()
    with pytest.raises(CutBack):
        tail.rows(5)


@pytest.mark.parametrize("line", [b"{\n", b"[1]\n", b"\xff\n", b"[" * 100_000 + b"\n"])
def test_a_damaged_line_is_told(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"round": 0}\n' + line)
    with pytest.raises(ValueError, match=r"rows\.jsonl"):
        Tail(path).rows(5)
