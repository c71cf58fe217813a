"""Texts as sets of hashed buckets."""

import os
import subprocess
import sys

import numpy as np
import pytest

from olrl.streams.text_features import BUCKETS, WIDTH, TextHasher, check_packed, pack, unpack

TEXT = "Ünited is not united 😀"
SUM = (
    "import numpy, olrl.streams.text_features as t; print(t.TextHasher().bits([%r])[0].nonzero()[0].tolist())"
)


def test_another_process_with_another_seed_of_hashes_finds_the_same_buckets() -> None:
    here = TextHasher().bits([TEXT])[0].nonzero()[0].tolist()
    told = subprocess.run(
        [sys.executable, "-c", SUM % TEXT],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    assert told.stdout.strip() == str(here)
    assert len(here) > 10


def test_a_text_without_a_word_is_in_no_bucket() -> None:
    assert not TextHasher().bits(["", " ... !"]).any()


def test_pairs_of_words_are_told_by_their_order() -> None:
    one, other = TextHasher().bits(["not good", "good not"])
    assert (one != other).sum() == 2


def test_packing_is_undone_to_the_bit_and_foreign_numbers_are_refused() -> None:
    bits = np.random.default_rng(0).random((5, BUCKETS)) < 0.3
    packed = pack(bits)
    assert packed.shape == (5, WIDTH)
    check_packed(packed)
    np.testing.assert_array_equal(unpack(packed), bits)
    for wrong in (-1.0, 65536.0, 0.5):
        with pytest.raises(ValueError, match="none"):
            check_packed(np.full((1, WIDTH), wrong, dtype=np.float32))
