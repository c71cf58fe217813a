"""The one rule for what counts as usable text, obeyed by every reader and by the builtin corpus."""

MAX_TEXT_BYTES = 1 << 20
NUL_BYTE = "NUL byte"


def accept_text(text: object, *, max_bytes: int = MAX_TEXT_BYTES) -> str | None:
    """Why `text` cannot be used, in one or two words; None when it can.

    Usable is a string that is not blank, holds no NUL (byte learners separate documents by it) and no lone
    surrogate (it has no UTF-8 form), and has at most `max_bytes` bytes of UTF-8.

    >>> accept_text("good morning") is None
    True
    >>> [accept_text(bad) for bad in (7, "  ", chr(0), chr(0xD800))]
    ['not text', 'empty', 'NUL byte', 'lone surrogate']
    """
    if not isinstance(text, str):
        return "not text"
    if not text or text.isspace():
        return "empty"
    if "\0" in text:
        return NUL_BYTE
    try:
        n_bytes = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        return "lone surrogate"
    return "too long" if n_bytes > max_bytes else None
