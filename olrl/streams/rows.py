"""From one line of JSON to a document, or to the reason why not."""

import json
import math
from typing import Any, NoReturn

from olrl.streams.accept import accept_text
from olrl.streams.document import Document

INVALID_JSON = "invalid JSON"
_MAX_DIGITS = 400  # no float has more; converting thousands of digits takes quadratic time


class Rejected(Exception):
    """A row that cannot be used; the message is the reason."""


def decode(content: bytes) -> str:
    """The text of a line; raises Rejected if it is not UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise Rejected("invalid UTF-8") from None


def parse_object(content: bytes) -> dict[str, Any]:
    """The JSON object in a line.

    Raises Rejected for what is no JSON object, and for what JSON does not allow but parsers often do: NaN,
    infinities, numbers of more than 400 digits, nesting deeper than the interpreter's stack.
    """
    text = decode(content)
    try:
        row = json.loads(text, parse_constant=_not_finite, parse_float=_float, parse_int=_integer)
    except RecursionError:
        raise Rejected("nested too deeply") from None
    except ValueError:
        raise Rejected(INVALID_JSON) from None
    if not isinstance(row, dict):
        raise Rejected("not a JSON object")
    return row


def document_of(row: dict[str, Any], *, source: str, late_labels: bool = False) -> Document:
    """The document that a row with `text` and perhaps `time`, `label` and `id` stands for; other keys are ignored.

    With `late_labels`, a row without `text`, but with `id` and `label`, is the label of an earlier document.

    >>> document_of({"text": "good morning", "label": 1}, source="mail.jsonl").label
    1
    >>> document_of({"id": "a7", "label": 1}, source="mail.jsonl", late_labels=True).is_late_label
    True
    """
    name = _id(row.get("id"))
    is_label = late_labels and "text" not in row and name is not None and row.get("label") is not None
    if "text" not in row and not is_label:
        raise Rejected("no text")
    if not is_label and (reason := accept_text(row["text"])):
        raise Rejected(reason)
    time, label = row.get("time"), row.get("label")
    if not isinstance(time, str | int | float | None):
        raise Rejected("time is neither text nor number")
    if not isinstance(label, str | int | None):
        raise Rejected("label is neither text nor whole number")
    return Document(text=row.get("text", ""), source=source, time=time, label=label, id=name)


def _id(value: Any) -> str | int | None:
    """An id; anything else is no reason to lose a text."""
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None


def _not_finite(_: str) -> NoReturn:
    raise Rejected("number not finite")


def _float(digits: str) -> float:
    if len(digits) > _MAX_DIGITS:
        raise Rejected("number too long")
    value = float(digits)
    if not math.isfinite(value):
        raise Rejected("number not finite")
    return value


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise Rejected("number too long")
    return int(digits)
