"""Documents streamed from a data set of the Hugging Face Hub."""

from collections.abc import Iterator
from typing import Any

from olrl.streams.dead_letter import DeadLetter
from olrl.streams.document import Document
from olrl.streams.lines import Stop
from olrl.streams.rows import Rejected, document_of
from olrl.streams.source import Source


class HubSource(Source):
    """Rows with a column `text` of a data set, streamed; `NAME` or `NAME:CONFIGURATION`.

    Nothing is downloaded ahead and no code of the data set is run. It is gone on with at the row reached: what
    comes before is passed over by the library, which may have to fetch it again. Raises ValueError if the extra
    `hub` is not installed, or the data set cannot be opened.
    """

    def __init__(
        self,
        name: str,
        *,
        dead_letter: DeadLetter,
        split: str = "train",
        stop: Stop | None = None,
        state: dict[str, Any] | None = None,
    ) -> None:
        self._row = 0 if state is None else int(state["row"])
        rows = open_data_set(name, split)
        documents = rows.skip(self._row) if self._row else rows
        self._documents = self._read(documents, f"hf:{name}", dead_letter, stop)

    def __next__(self) -> Document:
        return next(self._documents)

    def state_dict(self) -> dict[str, Any]:
        """The number of the last row."""
        return {"row": self._row}

    def _read(
        self, rows: Iterator[dict[str, object]], source: str, dead_letter: DeadLetter, stop: Stop | None
    ) -> Iterator[Document]:
        for number, row in enumerate(rows, start=self._row + 1):
            if stop is not None and stop():
                return
            self._row = number
            try:
                yield document_of(row, source=source)
            except Rejected as reason:
                text = row.get("text")
                content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else b""
                dead_letter.reject(source=source, line=number, offset=0, content=content, reason=str(reason))


def open_data_set(name: str, split: str) -> Any:
    """The rows of a data set, as the library streams them; ValueError if it cannot be opened."""
    try:
        from datasets import load_dataset
    except ImportError:
        raise ValueError(
            "hf: streams need the package datasets; install it with pip install 'olrl[hub]'"
        ) from None
    path, _, configuration = name.partition(":")
    try:
        return load_dataset(path, configuration or None, split=split, streaming=True)
    except Exception as error:  # the library raises its own, the network's and the file system's
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"data set {name!r} cannot be opened: {reason}") from error
