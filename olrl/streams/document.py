"""What a stream is made of."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Document:
    """One text with what is known about it.

    `source` names where the text came from (a file, or a builtin domain) and is shown in reports. `time` and
    `label` are carried along as given. With an `id` a label may come later, in a document of its own that has the
    same id and no text. `segment` is the true drift segment the document belongs to: streams
    with composed drift set it, the benchmark reads it, and no signal is ever derived from it.

    >>> Document(text="good morning", source="mail.txt").n_bytes
    12
    """

    text: str
    source: str = ""
    time: str | float | None = None
    label: str | int | None = None
    id: str | int | None = None
    segment: int = 0

    @property
    def is_late_label(self) -> bool:
        """Whether this is no text, but the label of an earlier one."""
        return not self.text and self.id is not None and self.label is not None

    @property
    def n_bytes(self) -> int:
        """Length of the text in UTF-8 bytes."""
        return len(self.text.encode("utf-8", errors="surrogatepass"))
