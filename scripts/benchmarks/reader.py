"""Microseconds a document of what lies between a file and a chunk: reading, tokens, cutting."""

import time
from collections.abc import Callable, Iterator
from functools import partial

from olrl.assembly import LoopConfig, cut_chunks
from olrl.streams.dead_letter import DeadLetter
from olrl.streams.sources import open_source

from . import models
from .clock import seconds
from .documents import write_documents
from .figures import Figure, Section, Setting

LONG = 2_000  # characters of a long document


def _snippets(setting: Setting) -> Iterator[Figure]:
    n = setting.of(4_000, 200)
    source = str(write_documents(setting.scratch / f"reader-{n}.jsonl", n))
    tokenizer = models.load("pico", setting.scratch).tokenizer
    documents = list(open_source(source, dead_letter=DeadLetter(None)))
    config = LoopConfig()
    times = setting.of(8, 1)

    reading = min(_whole(lambda: open_source(source, dead_letter=DeadLetter(None))) for _ in range(times))
    cutting = min(_whole(lambda: cut_chunks(documents, tokenizer, config)) for _ in range(times))
    yield Figure(name="read and check a line, processor time", value=reading / n * 1e6, unit="µs")
    yield Figure(name="tokens and chunks, processor time", value=cutting / n * 1e6, unit="µs")
    middle = documents[len(documents) // 2].text
    long = " ".join(document.text for document in documents)[:LONG]
    for name, text in (("tokens of a short document", middle), (f"tokens of {LONG} characters", long)):
        taken = seconds(partial(tokenizer.encode, text), calls=setting.of(3000, 5))
        yield Figure(name=name, value=taken * 1e6, unit="µs")


def _whole(make: Callable[[], Iterator[object]]) -> float:
    """Processor seconds of an iterator, from its beginning to its end."""
    started = time.process_time()
    for _ in make():
        pass
    return time.process_time() - started


SECTION = Section(name="reader", about="from a file to chunks", parts={"snippets": _snippets})
