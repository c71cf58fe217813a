"""Text that has an order of time: what installed projects wrote about each of their releases, with its date."""

import importlib.metadata
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cache
from itertools import pairwise

from olrl.streams.corpus import load_corpus
from olrl.streams.distributions import dependencies
from olrl.streams.document import Document
from olrl.streams.pieces import MIN_BYTES, SPLITS, Split, cut, n_bytes

MIN_PROJECT_BYTES = 20_000  # of a project whose notes make a stream by themselves
# A heading or line with a version and a date: "4.0.1 (released 2019-09-11)", "## 0.8.0 (April 30th, 2020)".
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_HEAD = re.compile(
    r"^(?:#+ *|\* *)?(?:Version )?v?\d+\.\d+[\w.]* *(?:\(|released)[^\n]*?"
    rf"(?P<date>20\d\d-\d\d-\d\d|(?:{_MONTHS}) \d{{1,2}}(?:st|nd|rd|th)?, 20\d\d)[^\n]*$",
    re.MULTILINE,
)


@cache
def release_notes() -> dict[str, tuple[Document, ...]]:
    """Release notes of the dependencies that carry dated ones in their long description, the oldest first.

    By project, of those with at least 20 kB; `time` of a document is its release's ISO date. The notes of a
    release are cut between paragraphs. What also stands in the corpus outside its test split, where models and
    policies may have read it, is left out. On PyPI few projects keep their history in their description: expect two
    or three, of which two years to seven are told.
    """
    seen = _lines_read_elsewhere()
    found = {}
    for name in dependencies():
        metadata = importlib.metadata.metadata(name)
        text = metadata["Description"] if "Description" in metadata else ""  # noqa: SIM401 - the type has no get
        notes = tuple(_notes(name, text.replace("\r\n", "\n"), seen))
        if sum(note.n_bytes for note in notes) >= MIN_PROJECT_BYTES:
            found[name] = notes
    return found


def in_order_of_time(projects: Iterable[Iterable[Document]]) -> list[Document]:
    """The documents of several projects as they were written one after the other."""
    return sorted((note for project in projects for note in project), key=lambda note: str(note.time))


def _notes(project: str, text: str, seen: set[str]) -> Iterator[Document]:
    heads = list(_HEAD.finditer(text))
    edges = pairwise([*(head.start() for head in heads), len(text)])
    releases = [(iso_date(head["date"]), text[a:b]) for head, (a, b) in zip(heads, edges, strict=True)]
    for date, note in sorted(releases, key=lambda release: release[0]):
        for part in cut(note.strip()):
            lines = [line for line in part.splitlines() if line.strip()]
            read = sum(line in seen for line in lines)
            if n_bytes(part) >= MIN_BYTES and read < len(lines) / 2:
                yield Document(text=part, source=project, time=date)


def iso_date(written: str) -> str:
    """A date in ISO form, from that or the way Americans write it.

    >>> iso_date("April 30th, 2020"), iso_date("2019-09-11")
    ('2020-04-30', '2019-09-11')
    """
    plain = re.sub(r"(?<=\d)(?:st|nd|rd|th)", "", written)
    form = "%Y-%m-%d" if plain[0].isdigit() else "%B %d, %Y"
    return datetime.strptime(plain, form).date().isoformat()


def _lines_read_elsewhere() -> set[str]:
    corpus = load_corpus()
    splits: list[Split] = [
        split for split in SPLITS if split != "test" and "readmes" in corpus.domains(split)
    ]
    return {
        line for split in splits for d in corpus.documents("readmes", split) for line in d.text.splitlines()
    }
