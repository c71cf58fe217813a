"""What a SOURCE string stands for."""

import difflib
import sys
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

from olrl.streams.corpus import Corpus, load_corpus
from olrl.streams.dead_letter import DeadLetter
from olrl.streams.document import Document
from olrl.streams.drift import DRIFT_KINDS, DriftConfig, DriftKind, drift_stream
from olrl.streams.hub import HubSource
from olrl.streams.lines import Stop
from olrl.streams.noise import Noise
from olrl.streams.pieces import SPLITS, Split
from olrl.streams.readers import SUFFIXES, Reader, ReaderConfig, ReadSource, text_files
from olrl.streams.release_notes import in_order_of_time, release_notes
from olrl.streams.scenarios import open_scenario
from olrl.streams.source import CountedSource, Source

DRIFT_BYTES = 1_000_000  # length of a composed builtin stream


def open_source(
    source: str,
    *,
    dead_letter: DeadLetter,
    follow: bool = False,
    split: Split = "test",
    seed: int = 0,
    stop: Stop | None = None,
    spool: Path | None = None,
    state: dict[str, Any] | None = None,
    late_labels: bool = False,
    repeats: bool = False,
) -> Source:
    """Documents of a SOURCE, which knows where it is.

    A `.jsonl` or `.txt` file, a folder of them, `-` (standard input), `hf:NAME[:CONFIGURATION]`, or
    `builtin:NAME`, where NAME is a domain (its documents of `split`, once, in a stable order), a kind of
    drift (`abrupt`, `gradual`, `recurring`, `none`, `burst`, `visits`: 1 MB composed from the domains of
    `split` with `seed`), `drift` (abrupt drift with noise bursts on top), or `releases` (release notes of
    installed projects in their order of time; `releases/PROJECT`: of one). `scenario:NAME[/NUMBER]` is a
    version of one of the five uses (`olrl.streams.scenarios`). `follow` keeps waiting for what is appended to a
    file, until `stop()`. What comes from standard input is written to the file `spool` first, if there is one.
    `late_labels` lets rows of files be labels of earlier documents, `repeats` lets a text come as often as it
    comes (`Reader`).

    `state`, the source's `state_dict()`, goes on behind the last document that it gave: in files, folders and
    the spool at the byte reached, in `hf:` at the row, in `builtin:` by passing over what was taken.

    Raises ValueError for a source that does not exist, naming what does, for `follow` and `spool` where they
    have no effect, and for a state whose place is not there any more.
    """
    kind, _, name = source.partition(":")
    if follow and (kind in ("builtin", "scenario", "hf") or source == "-" or Path(source).is_dir()):
        raise ValueError(f"--follow waits for a growing file, and {source!r} is none; leave it out")
    if spool is not None and source != "-":
        raise ValueError(
            f"--spool keeps what comes from standard input, and {source!r} is not that; leave it out"
        )
    if kind == "scenario":
        played = open_scenario(name)
        return CountedSource(played if stop is None else _until(played, stop), state=state)
    if kind == "builtin":
        documents = _builtin(name, split=split, seed=seed)
        return CountedSource(documents if stop is None else _until(documents, stop), state=state)
    if kind == "hf":
        return HubSource(name, dead_letter=dead_letter, stop=stop, state=state)
    config = ReaderConfig(repeats=repeats)
    reader = Reader(dead_letter=dead_letter, config=config, stop=stop, late_labels=late_labels)
    if source == "-":
        if state is not None:
            if spool is None:
                raise ValueError("what came from standard input is gone; only a run with --spool can go on")
            reader.load_state_dict(state, path=spool)
        return ReadSource(reader, reader.stream(cast(BufferedReader, sys.stdin.buffer), spool=spool))
    path = Path(source)
    documents = _path(path, reader, follow)
    if state is not None:
        reader.load_state_dict(state, path=path, follow=follow)
    return ReadSource(reader, documents)


def _path(path: Path, reader: Reader, follow: bool) -> Iterator[Document]:
    if path.is_dir():
        if next(text_files(path), None) is None:
            raise ValueError(f"folder {str(path)!r} holds no {' or '.join(SUFFIXES)} file")
        return reader.folder(path)
    if not path.exists():
        raise ValueError(_missing(path))
    if path.suffix not in SUFFIXES:
        raise ValueError(
            f"{str(path)!r} is neither a {' nor a '.join(SUFFIXES)} file; "
            "give it one of these endings, or pipe it to standard input and name '-'"
        )
    try:
        if path.is_file():  # to open and close a named pipe would end its writer
            path.open("rb").close()
    except OSError as error:
        raise ValueError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    return reader.file(path, follow=follow)


def _missing(path: Path) -> str:
    try:
        there = [near.name for near in path.parent.iterdir() if near.suffix in SUFFIXES or near.is_dir()]
    except OSError:
        return f"there is no folder {str(path.parent)!r}"
    said = f"there is no file or folder {str(path)!r}"
    if near := difflib.get_close_matches(path.name, there, n=1):
        return f"{said}; did you mean {str(path.parent / near[0])!r}?"
    return f"{said}; a source is a {' or '.join(SUFFIXES)} file, a folder, '-', 'builtin:NAME' or 'hf:NAME'"


def _builtin(name: str, *, split: Split, seed: int) -> Iterator[Document]:
    if name.partition("/")[0] == "releases":
        return iter(_releases(name.partition("/")[2]))
    corpus = load_corpus()
    if name == "drift" or name in DRIFT_KINDS:
        kind: DriftKind = next((kind for kind in DRIFT_KINDS if kind == name), "abrupt")
        noise = Noise(rate=0.1) if name == "drift" else None
        config = DriftConfig(kind=kind, n_bytes=DRIFT_BYTES, noise=noise, split=split, seed=seed)
        return drift_stream(config, corpus)
    if name in corpus.domains(split):
        return iter(corpus.documents(name, split))
    raise ValueError(_unknown(name, corpus, split))


def _releases(project: str) -> list[Document]:
    notes = release_notes()
    if project and project not in notes:
        raise ValueError(
            f"no release notes of {project!r} are installed; there are those of {', '.join(notes)}"
        )
    return in_order_of_time([notes[project]] if project else notes.values())


def _unknown(name: str, corpus: Corpus, split: Split) -> str:
    names = ["drift", *DRIFT_KINDS, "releases", *corpus.domains(split)]
    elsewhere = [other for other in SPLITS if name in corpus.domains(other)]
    if elsewhere:
        return f"builtin domain {name!r} lies in split {' and '.join(elsewhere)} only, not in {split!r}"
    near = difflib.get_close_matches(name, names, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return f"there is no builtin stream {name!r}; {guess}there are {', '.join(names)}"


def _until(documents: Iterable[Document], stop: Stop) -> Iterator[Document]:
    for document in documents:
        if stop():
            return
        yield document
