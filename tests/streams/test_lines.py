import itertools
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olrl.streams.lines import Line, follow_blocks, split_lines


def lines(blocks: list[bytes], *, max_bytes: int = 100) -> list[Line]:
    return list(split_lines(blocks, max_bytes=max_bytes, hasher=blake2b, stop=lambda: False))


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=5), st.integers(1, 20))
def test_where_blocks_end_makes_no_difference(content: bytes, cuts: list[int], max_bytes: int) -> None:
    edges = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    blocks = [content[a:b] for a, b in itertools.pairwise(edges)]
    assert lines(blocks, max_bytes=max_bytes) == lines([content], max_bytes=max_bytes)


@given(st.lists(st.binary(max_size=9).filter(lambda line: b"\n" not in line)))
def test_offsets_and_lengths_point_at_the_bytes(parts: list[bytes]) -> None:
    content = b"\n".join(parts)
    for line in lines([content]):
        assert content[line.offset : line.offset + line.n_bytes] == parts[line.number - 1]


def test_over_long_line_is_hashed_whole_and_held_in_part() -> None:
    long, after = lines([b"a" * 70, b"b" * 70 + b"\nshort"], max_bytes=100)
    assert long.content == b"a" * 70 + b"b" * 30
    assert (long.n_bytes, long.digest) == (140, blake2b(b"a" * 70 + b"b" * 70).hexdigest())
    assert (after.content, after.digest) == (b"short", None)


def test_line_of_exactly_the_limit_is_no_longer_than_it() -> None:
    assert lines([b"a" * 10 + b"\n"], max_bytes=10)[0].digest is None


def test_memory_is_bounded_on_an_endless_line() -> None:
    blocks = itertools.repeat(b"x" * 1000, 5000)
    (line,) = split_lines(blocks, max_bytes=2000, hasher=blake2b, stop=lambda: False)
    assert (len(line.content), line.n_bytes) == (2000, 5_000_000)


def test_mark_at_the_beginning_only() -> None:
    assert [line.content for line in lines([b"\xef\xbb\xbfa\r\n\xef\xbb\xbfb"])] == [b"a", b"\xef\xbb\xbfb"]


class Script:
    """Does one thing each time it is asked whether to stop; true after the last."""

    def __init__(self, *actions: Iterator[None]) -> None:
        self._actions = list(actions)

    def __call__(self) -> bool:
        if not self._actions:
            return True
        next(self._actions.pop(0), None)
        return False


def write(path: Path, content: bytes, mode: str = "ab") -> Iterator[None]:
    with path.open(mode) as file:
        file.write(content)
    yield


def followed(path: Path, script: Script) -> bytes:
    return b"".join(follow_blocks(path, stop=script, poll_s=1e-4))


def test_follow_reads_what_is_appended(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one ")
    assert followed(path, Script(iter(()), write(path, b"two "), write(path, b"three"))) == b"one two three"


def test_follow_begins_again_when_a_file_shrinks(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a long beginning ")
    assert followed(path, Script(iter(()), write(path, b"new", "wb"), iter(()))) == b"a long beginning new"


def test_follow_survives_rotation(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"old ")

    def rotate() -> Iterator[None]:
        path.rename(tmp_path / "log.1")
        yield

    script = Script(iter(()), rotate(), iter(()), write(path, b"new"), iter(()), iter(()))
    assert followed(path, script) == b"old new"


@pytest.mark.parametrize("stop_after", [0, 1, 2])
def test_stop_ends_between_lines(stop_after: int) -> None:
    taken: list[Line] = []
    for line in split_lines(
        [b"a\nb\nc\nd"], max_bytes=9, hasher=blake2b, stop=lambda: len(taken) > stop_after
    ):
        taken.append(line)
    assert len(taken) == stop_after + 1
