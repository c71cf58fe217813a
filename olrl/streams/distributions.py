"""Long descriptions and licences of the installed packages that this project depends on."""

import importlib.metadata
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from olrl.streams.pieces import Piece, cut, in_hash_order

_LICENCE_NAMES = ("licen", "copying", "copyright", "notice")


@cache
def dependencies(root: str = "olrl") -> dict[str, str]:
    """Versions of everything that `root` requires, directly or not, without extras; by canonical name.

    What else happens to be installed is left out, so that equal requirements give equal text.
    """
    versions: dict[str, str] = {}
    waiting = [root]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in versions:
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        versions[name] = distribution.version
        for line in distribution.requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    versions.pop(canonicalize_name(root), None)
    return dict(sorted(versions.items()))


def readmes(names: Iterable[str]) -> Iterator[Piece]:
    """Long descriptions, mostly Markdown or reStructuredText, cut between paragraphs."""
    for name in in_hash_order(names, key=lambda name: name):
        metadata = importlib.metadata.metadata(name)
        text = metadata["Description"] if "Description" in metadata else ""  # noqa: SIM401 - the type has no get
        yield from _pieces(text, f"readme/{name}")


def licences(names: Iterable[str]) -> Iterator[Piece]:
    """Licence and notice files, cut between paragraphs."""
    for name in in_hash_order(names, key=lambda name: name):
        for path in sorted(importlib.metadata.files(name) or (), key=str):
            is_licence = any(word in path.name.lower() for word in _LICENCE_NAMES)
            if is_licence and path.suffix.lower() in ("", ".txt", ".md", ".rst", ".apache", ".bsd"):
                place = Path(path.locate())
                if place.is_file():
                    yield from _pieces(place.read_text(encoding="utf-8", errors="ignore"), f"licence/{name}")


def _pieces(text: str, group: str) -> Iterator[Piece]:
    return (Piece(text=part, group=group, shelf=group) for part in cut(text.replace("\r\n", "\n")))
