"""Medical text: diagnoses chapter by chapter, and dated reviews of drugs by what they were taken for."""

import csv
import html
import io
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from xml.etree import ElementTree

import numpy as np

from olrl.streams.accept import accept_text
from olrl.streams.document import Document
from olrl.streams.fetched import REVIEWS
from olrl.streams.installed import folder_of
from olrl.streams.pieces import cut, split_of
from olrl.streams.scenarios.scenario import TUNING

CONDITIONS = ("Acne", "Anxiety", "Birth Control", "Depression", "Pain")
OTHER = "other"
PREFIX = 240  # the oldest reviews, of 2008 to 2011, are for tuning
KEPT = 0.75  # share of the later reviews that a version has
CHAPTERS, CHAPTER_BYTES = 6, 12_000


@cache
def _reviews() -> tuple[Document, ...]:
    """All reviews from the oldest to the newest."""
    found = []
    with zipfile.ZipFile(REVIEWS.there()) as archive:
        for name in sorted(archive.namelist()):
            for row in csv.DictReader(io.StringIO(archive.read(name).decode("utf-8")), delimiter="\t"):
                date = datetime.strptime(row["date"], "%B %d, %Y").date().isoformat()
                text = html.unescape(row["review"]).strip().strip('"').strip()
                label = row["condition"] if row["condition"] in CONDITIONS else OTHER
                if accept_text(text) is None:
                    found.append(Document(text=text, label=label, time=date, source=date[:4]))
    return tuple(sorted(found, key=lambda document: (str(document.time), document.text)))


def reviews(number: int) -> Sequence[Document]:
    """Drug reviews in order of time, labelled by condition; versions are three quarters of the same ones.

    Segments are years. ValueError, naming the script, if they were not fetched.
    """
    everything = _reviews()
    if number == TUNING:
        return everything[:PREFIX]
    later = everything[PREFIX:]
    rng = np.random.default_rng([number + 1, 5])
    kept = np.sort(rng.permutation(len(later))[: int(KEPT * len(later))])
    first = int(later[0].source)
    return [replace(later[k], segment=int(later[k].source) - first) for k in kept]


@cache
def _chapters() -> dict[str, tuple[tuple[bool, str], ...]]:
    """Texts of the ICD-10-CM by chapter; those of the builtin training split are for tuning, no other ones."""
    folder = folder_of("simple_icd_10_cm")
    path = next(iter(sorted(folder.glob("data/**/*tabular*.xml"))), None) if folder else None
    if path is None:
        raise ValueError("the diagnoses are missing: pip install 'simple-icd-10-cm>=1.5'")
    found: dict[str, tuple[tuple[bool, str], ...]] = {}
    # The file is part of an installed package, hence trusted as code is.
    for chapter in ElementTree.parse(path).getroot().iterfind("chapter"):
        texts = []
        for diagnosis in chapter.iterfind("section/diag"):
            name = diagnosis.findtext("name", "")
            lines = [f"{d.findtext('name', '')} {d.findtext('desc', '')}" for d in diagnosis.iter("diag")]
            tuning = split_of(f"icd/{name}") == "train"  # as the builtin corpus has it
            texts += [(tuning, part) for part in cut("\n".join(lines))]
        found[f"chapter {chapter.findtext('name', '')}"] = tuple(texts)
    return found


def diagnoses(number: int) -> Sequence[Document]:
    """Six chapters of the ICD-10-CM, up to 12 kB of each; versions are draws of chapters in another order."""
    rng = np.random.default_rng([number + 1, 6])
    tuning = number == TUNING
    texts = {name: [text for of, text in pairs if of == tuning] for name, pairs in _chapters().items()}
    large = [name for name, mine in texts.items() if sum(map(len, mine)) >= CHAPTER_BYTES]
    documents = []
    for segment, k in enumerate(rng.permutation(len(large))[:CHAPTERS]):
        room = CHAPTER_BYTES
        for j in rng.permutation(len(texts[large[k]])):
            if room <= 0:
                break
            text = texts[large[k]][j]
            room -= len(text)
            documents.append(Document(text=text, source=large[k], segment=segment))
    return documents
