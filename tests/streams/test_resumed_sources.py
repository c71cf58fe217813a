"""A source that is stopped behind any document and gone on with gives the same documents as one that was not."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from olrl.streams.dead_letter import DeadLetter
from olrl.streams.document import Document
from olrl.streams.source import Source
from olrl.streams.sources import open_source

TEXTS = [f"text {k % 7} of {k // 3}" for k in range(30)]  # each three times or more: some are duplicates
BAD = b'{"text": 7}'


def rows() -> bytes:
    lines = [json.dumps({"text": text}).encode() for text in TEXTS]
    for place in (2, 9, 10):
        lines.insert(place, BAD)
    lines[5:5] = [lines[5]] * 4
    return b"\xef\xbb\xbf" + b"\r\n".join(lines) + b"\n"


def paragraphs() -> bytes:
    return b"\n".join(b"line %d %s" % (k, b"x" * (k % 90)) + b"\n" * (k % 3) for k in range(200))


def file(folder: Path) -> str:
    (folder / "mail.jsonl").write_bytes(rows())
    return str(folder / "mail.jsonl")


def text(folder: Path) -> str:
    (folder / "book.txt").write_bytes(paragraphs())
    return str(folder / "book.txt")


def tree(folder: Path) -> str:
    (folder / "sub").mkdir()
    for name, content in (("a.jsonl", rows()), ("sub/b.txt", paragraphs()), ("z.jsonl", rows())):
        (folder / name).write_bytes(content)
    return str(folder)


def builtin(folder: Path) -> str:
    return "builtin:abrupt"


class FakeDataSet:
    def __init__(self, first: int = 0) -> None:
        self._first = first

    def skip(self, n: int) -> "FakeDataSet":
        return FakeDataSet(self._first + n)

    def __iter__(self) -> Iterator[dict[str, object]]:
        rows: list[dict[str, object]] = [{"text": text if k % 5 else None} for k, text in enumerate(TEXTS)]
        return iter(rows[self._first :])


def hub(folder: Path) -> str:
    return "hf:some/data"


@pytest.fixture
def _hub(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("datasets")
    module.load_dataset = lambda *args, **settings: FakeDataSet()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)


def opened(source: str, *, state: Any = None, **settings: Any) -> tuple[Source, DeadLetter]:
    letters = DeadLetter(None, key=b"k")
    if state is not None:
        letters.load_state_dict(state[1])
        settings["state"] = state[0]
    return open_source(source, dead_letter=letters, **settings), letters


@pytest.mark.usefixtures("_hub")
@pytest.mark.parametrize("make", [file, text, tree, builtin, hub], ids=lambda make: make.__name__)
def test_wherever_it_is_stopped_nothing_is_lost_or_comes_twice(
    make: Callable[[Path], str], tmp_path: Path
) -> None:
    name = make(tmp_path)
    straight, letters = opened(name)
    documents = list(islice(straight, 60))
    for taken in (0, 1, 3, len(documents) // 2, len(documents) - 1, len(documents)):
        first, so_far = opened(name)
        begun = list(islice(first, taken))
        state = json.loads(json.dumps([first.state_dict(), so_far.state_dict()]))
        second, rejected = opened(name, state=state)
        assert begun + list(islice(second, 60 - taken)) == documents, taken
        if len(documents) < 60:
            assert rejected.counts == letters.counts


def test_a_file_that_was_changed_before_the_place_reached_is_refused(tmp_path: Path) -> None:
    name = file(tmp_path)
    source, letters = opened(name)
    next(source)
    state = [source.state_dict(), letters.state_dict()]
    for content in (rows().replace(b"text 0", b"TEXT 0"), b""):
        Path(name).write_bytes(content)
        with pytest.raises(ValueError, match="has changed within the first 28 bytes, which the run has read"):
            opened(name, state=state)
    Path(name).unlink()
    with pytest.raises(ValueError, match="no file or folder"):
        opened(name, state=state)


def test_what_was_added_behind_the_place_reached_is_read(tmp_path: Path) -> None:
    path = Path(file(tmp_path))
    source, letters = opened(str(path))
    list(source)
    path.write_bytes(rows() + b'{"text": "new"}\n')
    again, _ = opened(str(path), state=[source.state_dict(), letters.state_dict()])
    assert [document.text for document in again] == ["new"]


def followed(path: Path, *, state: Any, until: int) -> tuple[list[Document], Any]:
    """Documents of a followed file until there are so many; then STOP, as a person would."""
    taken: list[Document] = []
    source, letters = opened(str(path), state=state, follow=True, stop=lambda: len(taken) >= until)
    for document in source:
        taken.append(document)
    return taken, [source.state_dict(), letters.state_dict()]


def test_a_followed_file_goes_on_at_its_half_written_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"text": "one"}\n{"text": "two"}\n{"text": "th')
    first, state = followed(path, state=None, until=2)
    with path.open("ab") as file:
        file.write(b'ree"}\n')
    second, _ = followed(path, state=state, until=1)
    assert [document.text for document in first + second] == ["one", "two", "three"]


@pytest.mark.parametrize("new", [b'{"text": "new"}\n', b'{"text": "a much longer line than before"}\n' * 2])
def test_a_followed_file_that_was_replaced_meanwhile_is_read_from_its_beginning(
    tmp_path: Path, new: bytes
) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"text": "one"}\n{"text": "two"}\n')
    _, state = followed(path, state=None, until=2)
    path.unlink()
    path.write_bytes(new)
    again, state = followed(path, state=state, until=1)
    assert again[0].text == json.loads(new.splitlines()[0])["text"]
    with path.open("ab") as file:
        file.write(b'{"text": "last"}\n')
    last, _ = followed(path, state=state, until=new.count(b"\n"))
    assert last[-1].text == "last"
    assert len(last) == new.count(b"\n")


def from_standard_input(
    content: bytes, spool: Path, monkeypatch: pytest.MonkeyPatch, state: Any = None
) -> tuple[Source, DeadLetter]:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    return opened("-", spool=spool, state=state)


def test_standard_input_goes_on_from_its_spool_and_half_a_line_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = tmp_path / "spool"
    first, letters = from_standard_input(b'one\n{"text": "two"}\nthree is', spool, monkeypatch)
    begun = [next(first).text]
    state = [first.state_dict(), letters.state_dict()]
    del first  # killed: the rest of its block is in the spool, that of the line was in the pipe
    second, rejected = from_standard_input(b'{"text": "four"}\nfive', spool, monkeypatch, state)
    assert begun + [document.text for document in second] == ["one", "two", "four"]
    assert rejected.counts == {"invalid JSON": 1}  # five: rows only, since one was a row
    assert spool.read_bytes() == b'one\n{"text": "two"}\n{"text": "four"}\nfive\n'
    assert spool.stat().st_mode & 0o777 == 0o600


def test_without_a_spool_standard_input_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="only a run with --spool"):
        opened("-", state=[{"source": "-"}, {"counts": {}, "key": ""}])


def test_a_spool_without_effect_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--spool keeps what comes from standard input"):
        opened(file(tmp_path), spool=tmp_path / "spool")
