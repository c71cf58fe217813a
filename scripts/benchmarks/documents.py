"""A deployed run over very many short documents: its speed, and its memory along the way.

The stream is real text of the builtin corpus cut into snippets of about 100 bytes, each begun by its number so
that no two are the same. The model is `pico` and is not trained: what is measured is everything around it.
"""

import json
import time
from collections.abc import Iterator
from itertools import count, pairwise
from pathlib import Path
from typing import Any

from .figures import Figure, Section, Setting, need
from .resident import now_mb, peak_mb

SNIPPET = 100  # characters
SAMPLES = 10


def write_documents(path: Path, n: int) -> Path:
    """A `.jsonl` file of `n` snippets, written once."""
    if path.exists():
        return path
    corpus = need("olrl.streams.corpus", "load_corpus")()
    texts = [
        document.text for domain in corpus.domains("train") for document in corpus.documents(domain, "train")
    ]
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("w", encoding="utf-8") as file:
        for k in range(n):
            time_round, place = divmod(k, len(texts))
            begin = 37 * time_round % max(1, len(texts[place]) - SNIPPET)
            row = {"text": f"{k} {texts[place][begin : begin + SNIPPET]}"}
            file.write(json.dumps(row) + "\n")
    unfinished.rename(path)
    return path


def _text_bytes(path: Path) -> int:
    """Bytes of text in a stream, a separator after each document included."""
    with path.open(encoding="utf-8") as file:
        return sum(len(json.loads(line)["text"].encode()) + 1 for line in file)


class _Samples:
    """Megabytes held, wall and processor seconds, at the first round and after each tenth of the text."""

    def __init__(self, n_bytes: int) -> None:
        self._every = n_bytes // SAMPLES
        self._bytes = 0
        self.rounds = 0
        self.started = time.perf_counter()
        self.taken: list[tuple[float, float, float]] = []

    def round(self, record: Any) -> None:
        """Called after each round of the run."""
        if self.rounds == 0:
            self.started = time.perf_counter()
        self.rounds += 1
        self._bytes += record.n_bytes
        if self._bytes >= len(self.taken) * self._every:
            self.taken.append((time.perf_counter() - self.started, time.process_time(), now_mb()))
            seconds, _, held = self.taken[-1]
            print(f"round {self.rounds}: {seconds:.0f} s, {held:.0f} MB", flush=True)


def _never(setting: Setting) -> Iterator[Figure]:
    n = min(setting.documents, 400) if setting.quick else setting.documents
    source = write_documents(setting.scratch / f"{n}.jsonl", n)
    run, config = need("olrl.run", "run"), need("olrl.run_config", "RunConfig")
    samples = _Samples(_text_bytes(source))
    out = setting.scratch / f"documents-{next(_FOLDERS)}-{time.time_ns()}"
    run(
        config(stream=str(source), model="pico", controller="never", out=out),
        on_round=samples.round,
    )
    whole = time.perf_counter() - samples.started
    played = samples.taken[-1][0]
    yield Figure(name="documents", value=n, unit="documents")
    yield Figure(name="speed", value=n / whole, unit="documents/s")
    yield Figure(name="speed, rounds", value=samples.rounds / whole, unit="rounds/s")
    yield Figure(name="after the last full tenth: rest, report, model", value=whole - played, unit="s")
    for k, ((_, before, _), (_, after, _)) in enumerate(pairwise(samples.taken), start=1):
        yield Figure(name=f"processor time of tenth {k}", value=after - before, unit="s")
    for k, (_, _, held) in enumerate(samples.taken):
        yield Figure(name=f"memory after {k} tenths", value=held, unit="MB")
    yield Figure(name="memory at the end", value=now_mb(), unit="MB")
    yield Figure(name="peak memory", value=peak_mb(), unit="MB")


_FOLDERS = count()
SECTION = Section(
    name="documents",
    about="a deployed run over very many documents (--documents)",
    parts={"pico, never": _never},
)
