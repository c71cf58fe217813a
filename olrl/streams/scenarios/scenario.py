"""What a scenario is: a use, its stream in several versions, and what is learned of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from olrl.streams.document import Document

TUNING = -1  # the version that settings may be tuned on; it shares no document with the others


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A use of online learning as a stream.

    `documents(number)` gives version `number` of the stream, from 0 up, the same each time; `TUNING` gives the
    one that settings may be tuned on. `versions` says what differs between them: other documents, or other
    orders of the same ones. `task` is what is learned, of `classes` where it is labels; `seq_len` how many
    tokens of a row.
    """

    name: str
    about: str
    task: Literal["lm", "classify", "answer"]
    versions: str
    documents: Callable[[int], Sequence[Document]]
    classes: tuple[str, ...] = ()
    seq_len: int = 64
