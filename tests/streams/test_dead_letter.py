import json
from pathlib import Path
from typing import Any

from olrl.streams.dead_letter import DeadLetter

ROW: dict[str, Any] = {"source": "a.jsonl", "line": 3, "offset": 40}


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_row_tells_where_and_why_but_not_what(tmp_path: Path) -> None:
    path = tmp_path / "run" / "dead_letter.jsonl"
    with DeadLetter(path, key=b"k") as dead_letter:
        dead_letter.reject(**ROW, content=b"my secret\xff", reason="invalid UTF-8")
    assert set(rows(path)[0]) == {"source", "line", "offset", "bytes", "hash", "reason"}
    assert rows(path)[0] | {"hash": ""} == ROW | {"bytes": 10, "hash": "", "reason": "invalid UTF-8"}
    assert b"secret" not in path.read_bytes()


def test_nobody_else_may_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "dead_letter.jsonl"
    with DeadLetter(path) as dead_letter:
        dead_letter.reject(**ROW, content=b"x", reason="empty")
    assert path.stat().st_mode & 0o777 == 0o600


def test_text_only_when_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "dead_letter.jsonl"
    with DeadLetter(path, keep_text=True) as dead_letter:
        dead_letter.reject(**ROW, content=b"caf\xe9", reason="invalid UTF-8")
    assert rows(path)[0]["text"] == "caf\\xe9"


def test_hash_tells_equal_rows_within_a_run_and_nothing_across_runs(tmp_path: Path) -> None:
    hashes = []
    for run in ("one", "two"):
        with DeadLetter(tmp_path / run) as dead_letter:
            for content in (b"x", b"x", b"y"):
                dead_letter.reject(**ROW, content=content, reason="empty")
        hashes.append([row["hash"] for row in rows(tmp_path / run)])
    first, second = hashes
    assert first[0] == first[1] != first[2]
    assert not set(first) & set(second)


def test_rubbish_does_not_fill_the_disk_but_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "dead_letter.jsonl"
    with DeadLetter(path, max_rows=2) as dead_letter:
        for _ in range(5):
            dead_letter.reject(**ROW, content=b"x", reason="empty")
    assert len(rows(path)) == 2
    assert dead_letter.counts == {"empty": 5}


def test_without_rejections_no_file(tmp_path: Path) -> None:
    with DeadLetter(tmp_path / "dead_letter.jsonl") as dead_letter:
        assert dead_letter.total == 0
    assert not list(tmp_path.iterdir())
