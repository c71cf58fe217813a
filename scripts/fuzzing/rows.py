"""The reader of streams: nothing raises, nothing hangs, and every good row is used."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fuzzing.damage import damaged_bytes
from fuzzing.target import Broken, Target, sentence
from olrl.streams.dead_letter import DeadLetter
from olrl.streams.document import Document
from olrl.streams.flood import GivenUp
from olrl.streams.readers import Reader, ReaderConfig

BOM = b"\xef\xbb\xbf"
FIXED = (
    b"",
    b"   ",
    b"\0",
    BOM,
    b"{",
    b"}",
    b"null",
    b"[]",
    b"NaN",
    b"\xff\xfe{\0}\0",
    b"\x80\x04K\x01.",  # a pickle
    b'{"text": NaN}',
    b'{"text": "a", "time": NaN}',
    b'{"text": "a", "time": ' + b"9" * 5000 + b"}",
    b'{"text": "a", "time": 1e99999}',
    b'{"text": "a", "time": ' + b"1" * 399 + b"." + b"1" * 5000 + b"}",
    b'{"text": "\\ud800"}',
    b'{"text": "\\u0000"}',
    b'{"text": ""}',
    b'{"text": " \\n "}',
    b'{"text": 7}',
    b'{"text": ["a"]}',
    b'{"text": {"text": "a"}}',
    b'{"text": true}',
    b'{"txet": "a"}',
    b'{"text": "a", "label": 1.5}',
    b'{"text": "a", "label": []}',
    b'{"text": "a", "time": {}}',
    b'{"text": "a"',
    b'{"text": "\xff"}',
    b'{"text": "\xc3"}',
    b'{"text": "\xed\xa0\x80"}',  # a surrogate in UTF-8
    b"[" * 100_000,
    b'{"a":' * 30_000,
    b'{"text": "a", "more": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    b'{"text": "' + b"x" * (3 << 20) + b'"}',
    b" " * (2 << 20),
    b'{"text": "stuck"}\n' * 300,
    b"\r\r\r",
    "\x1b[2J\u202e\ufeff\u2028".encode(),
)


def _bad_row(rng: np.random.Generator) -> bytes:
    how = rng.random()
    if how < 0.5:
        return FIXED[rng.integers(len(FIXED))]
    if how < 0.8:
        row = json.dumps({"text": "a row to damage", "time": 1.5, "label": 3, "x": [1, {"y": None}]}).encode()
        return damaged_bytes(rng, row)
    return rng.bytes(int(rng.integers(1, 5000)))


def _content(rng: np.random.Generator, *, plain: bool) -> tuple[bytes, list[str]]:
    """Good rows with bad ones between; the texts of the good ones, in order."""
    parts, texts = [], []
    for k in range(int(rng.integers(1, 8))):
        for _ in range(int(rng.integers(0, 4))):
            parts.append(_bad_row(rng))
        text = f"good row {k} of {rng.integers(1 << 40)} à la carte"
        texts.append(text)
        parts.append(
            text.encode() if plain else json.dumps({"text": text, "n": k}, ensure_ascii=False).encode()
        )
    ends = [b"\r\n" if rng.random() < 0.2 else b"\n" for _ in parts]
    content = b"".join(part + end for part, end in zip(parts, ends, strict=True))
    if rng.random() < 0.3:
        content = BOM + content
    return content + (_bad_row(rng) if rng.random() < 0.5 else b""), texts


class _Slow(io.BytesIO):
    """Gives as much as it likes, as a pipe does."""

    def __init__(self, content: bytes, rng: np.random.Generator) -> None:
        super().__init__(content)
        self._rng = rng

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read1(int(self._rng.choice([1, 7, 4096, 1 << 16])))


def _case(rng: np.random.Generator, folder: Path) -> str:
    way = str(rng.choice(["file", "text", "stream", "followed", "folder"]))
    content, texts = _content(rng, plain=way == "text")
    path = folder / ("stream.txt" if way == "text" else "stream.jsonl")
    path.write_bytes(content)
    seen: list[Document] = []

    def stop() -> bool:  # a followed file has no end of its own
        return way == "followed" and any(texts[-1] in each.text for each in seen)

    reader = Reader(
        dead_letter=DeadLetter(folder / "dead.jsonl", keep_text=bool(rng.random() < 0.5)),
        config=ReaderConfig(poll_s=0.001),
        stop=stop,
    )
    documents: Iterator[Document]
    if way == "stream":
        documents = reader.stream(_Slow(content, rng) if len(content) < 50_000 else io.BytesIO(content))
    elif way == "folder":
        documents = reader.folder(folder)
    else:
        documents = reader.file(path, follow=way == "followed")
    for document in documents:
        seen.append(document)
        document.text.encode()  # what cannot be encoded was no text
    _check_all_used(texts, seen)
    for line in (folder / "dead.jsonl").read_bytes().splitlines() if (folder / "dead.jsonl").exists() else ():
        json.loads(line)
    return way


def _check_all_used(texts: list[str], seen: list[Document]) -> None:
    everything = "\n".join(document.text for document in seen)
    position = 0
    for text in texts:
        position = everything.find(text, position)
        if position < 0:
            raise Broken(f"the good row {text!r} was lost")


def _flood(rng: np.random.Generator, folder: Path) -> str:
    """Nothing but rubbish without an end."""
    row = _bad_row(rng)
    if len(row) > 20_000 and rng.random() < 0.8:
        row = row[:200]
    ending = rng.choice([b"\n", b""])
    block = (row + bytes(ending)) or b"\n"
    block *= max(1, 60_000 // len(block))

    class Endless:
        def read1(self, size: int = -1, /) -> bytes:
            return block

    config = ReaderConfig(give_up_lines=1000, give_up_bytes=8 << 20)
    reader = Reader(dead_letter=DeadLetter(folder / "dead.jsonl"), config=config)
    used = 0
    try:
        for _ in reader.stream(Endless()):
            used += 1
            if used > 300:
                return "flood that is text"
    except GivenUp as error:
        sentence(error)
        return "flood given up"
    raise Broken("an endless stream ended")


TARGETS = (Target(name="reader", case=_case), Target(name="flood", case=_flood))
