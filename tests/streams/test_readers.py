import io
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from olrl.streams.accept import accept_text
from olrl.streams.dead_letter import DeadLetter
from olrl.streams.document import Document
from olrl.streams.readers import Reader, ReaderConfig, text_files


def good(name: str) -> bytes:
    return json.dumps({"text": f"good {name}"}).encode()


BAD_ROWS: dict[str, tuple[bytes, str]] = {
    "invalid UTF-8": (b'{"text": "caf\xe9"}', "invalid UTF-8"),
    "UTF-16": ('{"text": "x"}'.encode("utf-16"), "invalid UTF-8"),
    "lone surrogate": (rb'{"text": "a \ud800 b"}', "lone surrogate"),
    "NaN": (b'{"text": "x", "time": NaN}', "number not finite"),
    "overflowing float": (b'{"text": "x", "time": 1e999}', "number not finite"),
    "5,000-digit integer": (b'{"text": "x", "time": ' + b"9" * 5000 + b"}", "number too long"),
    "5,000-digit fraction": (b'{"text": "x", "time": 0.' + b"9" * 5000 + b"}", "number too long"),
    "100k brackets": (b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    "100k braces": (b'{"a": ' * 100_000, "nested too deeply"),
    "NUL escaped": (rb'{"text": "a\u0000b"}', "NUL byte"),
    "NUL raw": (b'{"text": "a\0b"}', "invalid JSON"),
    "empty": (b'{"text": ""}', "empty"),
    "blank": (b'{"text": " \\n\\t"}', "empty"),
    "number for text": (b'{"text": 7}', "not text"),
    "null for text": (b'{"text": null}', "not text"),
    "list for text": (b'{"text": ["x"]}', "not text"),
    "no text": (b'{"txt": "x"}', "no text"),
    "not an object": (b'["text"]', "not a JSON object"),
    "not JSON": (b"text", "invalid JSON"),
    "cut in the middle": (b'{"text": "good mor', "invalid JSON"),
    "two objects": (b'{"text": "x"} {"text": "y"}', "invalid JSON"),
    "mark inside a line's beginning": (b'\xef\xbb\xbf{"text": "x"}', "invalid JSON"),
    "3 MiB": (b'{"text": "' + b"x" * (3 << 20) + b'"}', "too long"),
    "strange time": (b'{"text": "x", "time": [1]}', "time is neither text nor number"),
    "strange label": (b'{"text": "x", "label": 0.5}', "label is neither text nor whole number"),
}


def read(path: Path, dead_letter: DeadLetter | None = None, **config: Any) -> list[Document]:
    reader = Reader(dead_letter=dead_letter or DeadLetter(None), config=ReaderConfig(**config))
    return list(reader.file(path))


def read_stream(content: bytes, dead_letter: DeadLetter | None = None) -> list[str]:
    reader = Reader(dead_letter=dead_letter or DeadLetter(None))
    return [document.text for document in reader.stream(io.BytesIO(content))]


def test_every_kind_of_bad_row_is_put_aside_and_every_good_one_used(tmp_path: Path) -> None:
    path, letters = tmp_path / "rows.jsonl", tmp_path / "dead_letter.jsonl"
    lines = [good("first")]
    for name, (row, _) in BAD_ROWS.items():
        lines += [row, good(f"after {name}")]
    content = b"\xef\xbb\xbf" + b"\n".join(lines) + b"\n"
    path.write_bytes(content)
    with DeadLetter(letters) as dead_letter:
        documents = read(path, dead_letter)
    assert [d.text for d in documents] == ["good first", *(f"good after {name}" for name in BAD_ROWS)]
    rows = [json.loads(line) for line in letters.read_text().splitlines()]
    assert [row["reason"] for row in rows] == [reason for _, reason in BAD_ROWS.values()]
    for row, (expected, _) in zip(rows, BAD_ROWS.values(), strict=True):
        assert content[row["offset"] : row["offset"] + row["bytes"]] == expected
        assert row["source"] == "rows.jsonl"


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_row_before_any_good_one_does_not_end_a_stream(name: str) -> None:
    # Before the first JSON object a line may be plain text, so some of these rows are used as such.
    dead_letter = DeadLetter(None)
    assert read_stream(BAD_ROWS[name][0] + b"\n" + good("one"), dead_letter)[-1] == "good one"


def test_fields_are_carried_along(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x", "time": "2026-11-01", "label": 3, "more": {}}\n{"text": "y", "time": 1.5}')
    first, second = read(path)
    assert first == Document(text="x", source="a.jsonl", time="2026-11-01", label=3)
    assert (second.time, second.label) == (1.5, None)


def test_truncated_last_line_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(good("one") + b'\n{"text": "still being wri')
    dead_letter = DeadLetter(None)
    assert len(read(path, dead_letter)) == 1
    assert dead_letter.counts == {"truncated last line": 1}


def test_last_line_without_line_end_is_used_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(good("one") + b"\r\n\r\n" + good("two"))
    assert [d.text for d in read(path)] == ["good one", "good two"]


def test_duplicate_burst_is_cut_after_three_and_forgotten_after_the_window(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    burst, others = [good("same")] * 10, [good(str(i)) for i in range(8)]
    path.write_bytes(b"\n".join([*burst, *others, good("same")]))
    dead_letter = DeadLetter(None)
    texts = [d.text for d in read(path, dead_letter, duplicate_window=8)]
    assert texts.count("good same") == 4  # three of the burst, and the late one
    assert dead_letter.counts == {"duplicate": 7}


class TestPlainText:
    def test_paragraphs_are_kept_whole_and_merged(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        paragraphs = [f"{i} " + "word " * 100 for i in range(10)]
        path.write_text("\n\n\n".join(paragraphs))
        documents = read(path)
        assert "\n\n".join(d.text for d in documents).split("\n\n") == paragraphs
        assert all(1_500 < d.n_bytes < 2_100 for d in documents[:-1])

    def test_paragraph_without_end_is_cut_at_a_line_end(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        lines = [f"{i} " + "word " * 20 for i in range(200)]
        path.write_text("\n".join(lines))
        documents = read(path)
        assert "\n".join(d.text for d in documents).split("\n") == lines
        assert all(d.n_bytes < 4_200 for d in documents)

    def test_only_the_bad_lines_are_left_out(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_bytes(b"\xef\xbb\xbfone\ncaf\xe9\na\0b\n" + b"x" * (3 << 20) + b"\ntwo")
        dead_letter = DeadLetter(None)
        assert [d.text for d in read(path, dead_letter)] == ["one\ntwo"]
        assert dead_letter.counts == {"invalid UTF-8": 1, "NUL byte": 1, "too long": 1}

    def test_empty_file_gives_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("\n \n\n")
        assert read(tmp_path / "a.txt") == []


class TestStandardInput:
    def test_plain_lines(self) -> None:
        assert read_stream(b"one\n\n{not json}\n[1, 2]\nthree") == ["one", "{not json}", "[1, 2]", "three"]

    def test_json_lines_and_from_then_on_nothing_else(self) -> None:
        dead_letter = DeadLetter(None)
        assert read_stream(good("a") + b"\nplain\n[1]\n" + good("b"), dead_letter) == ["good a", "good b"]
        assert dead_letter.counts == {"invalid JSON": 1, "not a JSON object": 1}

    def test_object_without_text_makes_it_json_lines(self) -> None:
        assert read_stream(b'{"a": 1}\nplain\n' + good("b")) == ["good b"]


def test_a_walk_gives_files_in_the_order_of_their_sorted_paths(tmp_path: Path) -> None:
    for name in ("b/2.txt", "b/c/1.txt", "b.txt", "b-1.txt", "a/z.jsonl", "B.txt", "b/.git/x.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    everything = (path for path in tmp_path.rglob("*") if path.is_file() and ".git" not in path.parts)
    assert list(text_files(tmp_path)) == sorted(everything)


def test_folder_in_sorted_order_without_hidden_files(tmp_path: Path) -> None:
    for name in ("b/2.txt", "b/1.txt", "a.txt", ".hidden/x.txt", "c.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"text of {name}")
    documents = list(Reader(dead_letter=DeadLetter(None)).folder(tmp_path))
    assert [d.source for d in documents] == ["a.txt", "b/1.txt", "b/2.txt"]


def test_follow_waits_for_half_written_lines_and_stops_when_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(good("one") + b"\n" + good("two")[:9])
    stop, dead_letter = threading.Event(), DeadLetter(None)
    reader = Reader(dead_letter=dead_letter, config=ReaderConfig(poll_s=0.005), stop=stop.is_set)
    documents = reader.file(path, follow=True)
    assert next(documents).text == "good one"

    def go_on() -> None:
        for part in (good("two")[9:], b"\n" + good("three")[:5]):
            time.sleep(0.02)
            with path.open("ab") as file:
                file.write(part)

    writer = threading.Thread(target=go_on)
    writer.start()
    assert next(documents).text == "good two"
    writer.join()
    stop.set()
    assert list(documents) == []
    assert dead_letter.total == 0  # half of "three" is no bad row, only not there yet


near_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters(), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "time", "label"]), inner)
    ),
    max_leaves=5,
)
rows = st.one_of(
    st.binary(max_size=30),
    near_json.map(lambda value: json.dumps(value).encode()),
    near_json.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(rows, max_size=8))
@example([b'{"text": "\\udfff"}', b"\xef\xbb\xbf", b"\0", b"{"])
def test_readers_never_raise_and_give_only_usable_text(tmp_path: Path, parts: list[bytes]) -> None:
    content = b"\n".join(parts)
    for name in ("a.jsonl", "a.txt", "-"):
        dead_letter = DeadLetter(None)
        reader = Reader(dead_letter=dead_letter, config=ReaderConfig(max_line_bytes=20))
        if name == "-":
            documents = list(reader.stream(io.BytesIO(content)))
        else:
            (tmp_path / name).write_bytes(content)
            documents = list(reader.file(tmp_path / name))
        assert all(accept_text(document.text) is None for document in documents)
        if name == "a.jsonl":  # nothing is lost silently
            not_blank = [line for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
            assert len(documents) + dead_letter.total == len(not_blank)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("max_line_bytes", 0), ("duplicate_limit", 0), ("duplicate_limit", 999), ("poll_s", 0.0)],
)
def test_settings_are_checked(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=setting):
        ReaderConfig(**{setting: value})  # type: ignore[arg-type]
