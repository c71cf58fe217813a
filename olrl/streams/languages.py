"""Dialogue, sentences, names and words in many languages, and other text that packages carry as data."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree import ElementTree

import yaml

from olrl.streams.installed import folder_of, package_files
from olrl.streams.pieces import Piece, cut, in_hash_order, n_bytes

_LIST_BYTES = 25_000  # of a list of names: streets and towns would otherwise drown the sentences
_UNLIMITED = ("text.text", "text.quotes", "text.sentence", "text.questions", "text.words")
_NO_LANGUAGE = re.compile(r"alphabet|_fmt|abbr|formats|code|url|symbol")


def dialogue(language: str) -> Iterator[Piece]:
    """Conversations, a line an utterance; every conversation is a group of its own."""
    folder = folder_of("chatterbot_corpus")
    for path in sorted((folder / "data" / language).glob("*.yml")) if folder else ():
        rows = yaml.safe_load(path.read_text(encoding="utf-8")).get("conversations") or []
        for row in rows:
            lines = [str(line).strip() for line in row if line is not None]
            group = f"dialogue/{language}/{path.stem}/{lines[0] if lines else ''}"
            yield from (
                Piece(text=part, group=group, shelf=f"{language}/{path.stem}")
                for part in cut("\n".join(lines))
            )


def sentences_and_names(locale: str) -> Iterator[Piece]:
    """Sentences, then words, personal and place names and the like; every item is a group of its own."""
    lists = _lists(locale)
    for name in sorted(lists, key=lambda name: (name not in _UNLIMITED, name)):
        room = float("inf") if name in _UNLIMITED else _LIST_BYTES
        for item in in_hash_order(dict.fromkeys(lists[name]), key=str):
            room -= n_bytes(item) + 1
            if room < 0:
                break
            yield Piece(text=item, group=item.casefold(), shelf=f"{locale}/{name}")


def language(spoken: Sequence[str], locales: Sequence[str]) -> Iterator[Piece]:
    """All text in one language: dialogue under the names `spoken`, then sentences and names of `locales`."""
    for name in spoken:
        yield from dialogue(name)
    for locale in locales:
        yield from sentences_and_names(locale)


def english_dialogue() -> Iterator[Piece]:
    """English conversations, then quiz questions."""
    yield from dialogue("english")
    for item in in_hash_order(dict.fromkeys(_lists("en").get("text.questions", ())), key=str):
        yield Piece(text=item, group=item, shelf="questions")


def _lists(locale: str) -> dict[str, list[str]]:
    """Lists of strings in a locale's data, by `file.key`."""
    folder = folder_of("mimesis")
    lists: dict[str, list[str]] = {}
    for path in sorted((folder / "datasets" / locale).glob("*.json")) if folder else ():
        _collect(json.loads(path.read_text(encoding="utf-8")), path.stem, "", lists)
    return lists


def _collect(node: Any, stem: str, key: str, lists: dict[str, list[str]]) -> None:
    if isinstance(node, dict):
        for inner, value in node.items():
            _collect(value, stem, key or inner, lists)
    elif isinstance(node, list) and not _NO_LANGUAGE.search(key):
        strings = [item.strip() for item in node if isinstance(item, str)]
        lists.setdefault(f"{stem}.{key}", []).extend(
            s for s in strings if len(s) > 1 and not set(s) & set("#{%@")
        )


def medical() -> Iterator[Piece]:
    """Diagnoses of the ICD-10-CM: names, included and excluded conditions, notes; a group a category."""
    folder = folder_of("simple_icd_10_cm")
    path = next(iter(sorted(folder.glob("data/**/*tabular*.xml"))), None) if folder else None
    if path is None:
        return
    # The file is part of an installed package, hence trusted as code is.
    diagnoses = ElementTree.parse(path).getroot().iterfind("chapter/section/diag")
    for diagnosis in in_hash_order(diagnoses, key=lambda node: node.findtext("name", "")):
        name = diagnosis.findtext("name", "")
        for part in cut("\n".join(_lines(diagnosis))):
            yield Piece(text=part, group=f"icd/{name}", shelf="icd")


def _lines(diagnosis: ElementTree.Element) -> Iterator[str]:
    yield f"{diagnosis.findtext('name', '')} {diagnosis.findtext('desc', '')}"
    for child in diagnosis:
        if child.tag == "diag":
            yield from _lines(child)
        elif child.tag not in ("name", "desc"):
            notes = "; ".join(note.text.strip() for note in child.iter("note") if note.text)
            if notes:
                yield f"{_spaced(child.tag)}: {notes}"


def _spaced(tag: str) -> str:
    return re.sub(r"([A-Z]|\d)", lambda m: f" {m[1].lower()}", tag).capitalize()


def operators() -> Iterator[Piece]:
    """Declarations of torch's operators, as YAML; a group an operator with its overloads."""
    for _, path in package_files(["torchgen"], ".yaml", keep="native_functions|derivatives"):
        entries = re.split(r"\n(?=- )", path.read_text(encoding="utf-8"))
        for entry in entries:
            found = re.match(r"- \w+: ([\w]+)", entry)
            group = f"operator/{found[1].rstrip('_') if found else entry[:40]}"
            yield from (Piece(text=part, group=group, shelf=path.stem) for part in cut(entry))
