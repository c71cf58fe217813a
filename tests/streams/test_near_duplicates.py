import random

from olrl.streams.near_duplicates import NearDuplicates

WORDS = [f"word{i}" for i in range(20)]


def text(seed: int, n_words: int = 120, per_line: int = 10) -> str:
    rng = random.Random(seed)
    words = [rng.choice(WORDS) + str(rng.randrange(50)) for _ in range(n_words)]
    return "\n".join(" ".join(words[i : i + per_line]) for i in range(0, n_words, per_line))


def test_different_texts_are_all_new() -> None:
    seen = NearDuplicates()
    assert all(seen.is_new(text(seed)) for seed in range(200))


def test_copies_rewrapped_shouted_and_slightly_edited_are_found() -> None:
    seen = NearDuplicates()
    assert seen.is_new(text(1))
    assert not seen.is_new(text(1))
    assert not seen.is_new(text(1, per_line=7))
    assert not seen.is_new(text(1).upper())
    assert not seen.is_new(text(1, per_line=7).replace("\n", " changed ", 1))


def test_pasted_block_is_found_though_most_of_the_shingles_differ() -> None:
    seen = NearDuplicates()
    assert seen.is_new("\n".join([text(1), text(2), text(3), text(4)]))
    assert not seen.is_new("\n".join([text(2), text(5, n_words=90)]))
    assert seen.is_new("\n".join([text(3, n_words=40), text(6)]))


def test_short_texts_are_compared_word_by_word() -> None:
    seen = NearDuplicates()
    assert [seen.is_new(line) for line in ("Yes.", "No.", "yes", "Yes, no.")] == [True, True, False, True]


def test_scripts_without_spaces() -> None:
    seen = NearDuplicates()
    sentence = "これは長い文章であり、いくつかの言葉が含まれています。" * 2
    assert seen.is_new(sentence)
    assert not seen.is_new(sentence + "終")
