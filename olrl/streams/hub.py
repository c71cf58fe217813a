"""Documents streamed from a data set of the Hugging Face Hub."""

from collections.abc import Iterator

from olrl.streams.dead_letter import DeadLetter
from olrl.streams.document import Document
from olrl.streams.lines import Stop
from olrl.streams.rows import Rejected, document_of


def hub_documents(
    name: str, *, dead_letter: DeadLetter, split: str = "train", stop: Stop | None = None
) -> Iterator[Document]:
    """Rows with a column `text` of a data set, streamed; `NAME` or `NAME:CONFIGURATION`.

    Nothing is downloaded ahead and no code of the data set is run. Raises ValueError if the extra `hub` is
    not installed, or the data set cannot be opened.
    """
    try:
        from datasets import load_dataset
    except ImportError:
        raise ValueError(
            "hf: streams need the package datasets; install it with pip install 'olrl[hub]'"
        ) from None
    path, _, configuration = name.partition(":")
    try:
        rows = load_dataset(path, configuration or None, split=split, streaming=True)
    except Exception as error:  # the library raises its own, the network's and the file system's
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"data set {name!r} cannot be opened: {reason}") from error
    return _documents(rows, f"hf:{name}", dead_letter, stop)


def _documents(
    rows: Iterator[dict[str, object]], source: str, dead_letter: DeadLetter, stop: Stop | None
) -> Iterator[Document]:
    for number, row in enumerate(rows, start=1):
        if stop is not None and stop():
            return
        try:
            yield document_of(row, source=source)
        except Rejected as reason:
            text = row.get("text")
            content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else b""
            dead_letter.reject(source=source, line=number, offset=0, content=content, reason=str(reason))
