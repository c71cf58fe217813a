import io
import itertools
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from olrl.streams.corpus import load_corpus
from olrl.streams.dead_letter import DeadLetter
from olrl.streams.document import Document
from olrl.streams.sources import open_source


def opened(source: str, *, n: int = 5, **settings: object) -> list[Document]:
    documents = open_source(source, dead_letter=DeadLetter(None), **settings)  # type: ignore[arg-type]
    return list(itertools.islice(documents, n))


def test_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("plain")
    (tmp_path / "b.jsonl").write_text('{"text": "row"}')
    assert [d.text for d in opened(str(tmp_path / "a.txt"))] == ["plain"]
    assert [d.text for d in opened(str(tmp_path / "b.jsonl"))] == ["row"]
    assert [d.text for d in opened(str(tmp_path))] == ["plain", "row"]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\ntwo\n")))
    assert [d.text for d in opened("-")] == ["one", "two"]


def test_domain_plays_its_split_in_a_stable_order() -> None:
    documents = load_corpus().documents("manual", "validation")
    assert opened("builtin:manual", split="validation", n=99) == list(documents)


@pytest.mark.parametrize("name", ["drift", "abrupt", "gradual", "recurring", "none", "burst"])
def test_composed_streams_follow_the_seed(name: str) -> None:
    first, again, other = (opened(f"builtin:{name}", seed=seed, n=40) for seed in (1, 1, 2))
    assert first == again != other


def test_stop_ends_a_builtin_stream() -> None:
    assert opened("builtin:manual", stop=lambda: True) == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("builtin:manuel", "no builtin stream 'manuel'; did you mean 'manual'"),
        ("builtin:", "there are drift, abrupt"),
        ("nowhere.txt", "no file or folder 'nowhere.txt'; a source is"),
        ("a.txtt", r"did you mean '\.?/?a.txt'"),
        ("no/where.txt", "no folder 'no'"),
        ("table.csv", r"'table.csv' is neither a .jsonl nor a .txt file"),
        ("empty", "folder 'empty' holds no .jsonl or .txt file"),
    ],
)
def test_mistakes_are_told_at_once_in_one_sentence(
    source: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for name in ("a.txt", "table.csv"):
        (tmp_path / name).write_text("x")
    with pytest.raises(ValueError, match=message) as caught:
        open_source(source, dead_letter=DeadLetter(None))
    assert "\n" not in str(caught.value)


def test_held_out_domain_in_training_is_told() -> None:
    with pytest.raises(ValueError, match="'italian' lies in split test only, not in 'train'"):
        opened("builtin:italian", split="train")


@pytest.mark.parametrize("source", ["builtin:manual", "hf:x", "-", "."])
def test_follow_without_effect_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="--follow waits for a growing file"):
        opened(source, follow=True)


@pytest.mark.skipif(find_spec("datasets") is not None, reason="tells what happens without the extra")
def test_hub_without_its_extra_tells_what_to_install() -> None:
    with pytest.raises(ValueError, match=r"install it with pip install 'olrl\[hub\]'"):
        opened("hf:some/data")
