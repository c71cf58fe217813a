from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olrl.streams.accept import accept_text
from olrl.streams.noise import NOISE_KINDS, Noise, NoiseKind, corrupt

texts = st.text("abc é語\n", min_size=1)


@given(texts, st.sampled_from(NOISE_KINDS), st.floats(0.01, 1.0), st.integers(0, 5))
def test_length_and_alphabet_stay(text: str, kind: NoiseKind, rate: float, seed: int) -> None:
    noisy = corrupt(text, Noise(kind=kind, rate=rate), np.random.default_rng(seed))
    assert len(noisy) == len(text)
    assert set(noisy) <= set(text)
    assert noisy.isspace() or accept_text(noisy) is None


@given(texts)
def test_shuffling_keeps_words_apart_and_their_letters(text: str) -> None:
    noisy = corrupt(text, Noise(kind="shuffle", rate=1.0), np.random.default_rng(0))
    assert [Counter(word) for word in noisy.split()] == [Counter(word) for word in text.split()]


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_rate_is_the_share_replaced(rate: float) -> None:
    text = "".join(chr(0x4E00 + i) for i in range(4000))  # all different: a replacement shows
    noisy = corrupt(text, Noise(kind="replace", rate=rate), np.random.default_rng(0))
    changed = sum(a != b for a, b in zip(text, noisy, strict=True)) / len(text)
    assert changed == pytest.approx(rate, abs=0.03)


@pytest.mark.parametrize("settings", [{"rate": 0.0}, {"rate": 1.1}, {"rate": float("nan")}, {"kind": "blur"}])
def test_settings_are_checked(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="noise"):
        Noise(**settings)  # type: ignore[arg-type]
