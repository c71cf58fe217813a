import pytest
from hypothesis import given
from hypothesis import strategies as st

from olrl.streams.accept import accept_text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "not text"),
        (b"bytes", "not text"),
        ("", "empty"),
        (" \n\t\u3000", "empty"),
        ("a\0b", "NUL byte"),
        ("a\ud800b", "lone surrogate"),
        ("é" * 6, "too long"),
        ("good", None),
        ("\ufeffa mark inside is a character", None),
    ],
)
def test_reason(text: object, reason: str | None) -> None:
    limit = 10 if reason == "too long" else 1000
    assert accept_text(text, max_bytes=limit) == reason


@given(st.text(st.characters()))  # surrogates included
def test_accepted_text_can_be_written_and_holds_no_separator(text: str) -> None:
    if accept_text(text) is None:
        assert text.encode("utf-8")
        assert "\0" not in text
