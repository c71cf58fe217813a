"""A stream of documents that knows where it is."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from olrl.streams.document import Document


class Source(Iterator[Document]):
    """Documents one by one, and the place behind the last of them."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Where the next document comes from, JSON-able; a source opened with it goes on there."""


class CountedSource(Source):
    """Documents that come the same each time: gone on with by passing over as many as were taken.

    >>> documents = [Document(text=text) for text in ("one", "two")]
    >>> source = CountedSource(documents)
    >>> next(source).text, source.state_dict()
    ('one', {'taken': 1})
    >>> next(CountedSource(documents, state={"taken": 1})).text
    'two'
    """

    def __init__(self, documents: Iterable[Document], *, state: dict[str, Any] | None = None) -> None:
        self._taken = 0 if state is None else int(state["taken"])
        self._documents = islice(documents, self._taken, None)

    def __next__(self) -> Document:
        document = next(self._documents)
        self._taken += 1
        return document

    def state_dict(self) -> dict[str, Any]:
        """How many documents were taken."""
        return {"taken": self._taken}
