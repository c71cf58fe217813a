"""Text with its letters exchanged."""

import re
from itertools import islice

import pytest

from olrl.streams.ciphers import ALPHABETS, CipheredCorpus
from olrl.streams.corpus import load_corpus
from olrl.streams.drift import DriftConfig, drift_stream
from olrl.streams.suite import SuiteConfig


@pytest.fixture(scope="module")
def ciphered() -> CipheredCorpus:
    return CipheredCorpus(load_corpus(), seed=2)


def pairs(ciphered: CipheredCorpus) -> list[tuple[str, str]]:
    """Each ciphered domain of the training split and the one it was made from."""
    return [(name, name.partition("~")[0]) for name in ciphered.domains("train") if "~" in name]


def test_every_domain_is_there_twice_and_none_that_is_held_out(ciphered: CipheredCorpus) -> None:
    corpus = load_corpus()
    assert sorted(plain for _, plain in pairs(ciphered)) == sorted(corpus.domains("train"))
    twice = {name.partition("~")[0] for name in ciphered.domains("test") if "~" in name}
    assert twice == set(corpus.domains("train"))


def test_nothing_but_letters_is_exchanged_and_the_same_letter_always_for_the_same(
    ciphered: CipheredCorpus,
) -> None:
    for name, plain in pairs(ciphered):
        if name.endswith("~ethiopic"):
            continue  # two letters become one sign
        signs: dict[str, str] = {}
        for new, old in zip(
            ciphered.documents(name, "train")[:20], load_corpus().documents(plain, "train")[:20], strict=True
        ):
            assert len(new.text) == len(old.text)
            for sign, letter in zip(new.text, old.text, strict=True):
                assert sign == (signs.setdefault(letter.lower()[0], sign) if letter.isalpha() else letter)
        assert set(signs.values()) <= set(ALPHABETS[name.partition("~")[2]])


def test_syllables_are_half_as_many_signs_as_letters() -> None:
    for seed in range(20):
        corpus = CipheredCorpus(load_corpus(), seed=seed)
        for name in corpus.domains("train"):
            if name == "dialogue~ethiopic":
                text = corpus.documents(name, "train")[0].text
                assert re.search(r"[\u1208-\u1248]", text)
                assert len(text) < 0.75 * len(load_corpus().documents("dialogue", "train")[0].text)
                return
    raise AssertionError("no seed gave dialogue in syllables")


def test_another_seed_is_another_exchange() -> None:
    one, other = (CipheredCorpus(load_corpus(), seed=seed) for seed in (0, 1))
    assert set(one.domains("train")) != set(other.domains("train"))


def test_a_stream_of_the_suite_draws_from_both_and_is_the_same_when_it_is_made_again() -> None:
    suite = SuiteConfig.for_rounds(40, bytes_per_round=1024, split="validation", suite="ciphered")
    sources: set[bool] = set()
    for number in range(6):
        config = suite.stream(number, load_corpus())
        documents = list(islice(drift_stream(config, load_corpus()), 200))
        assert documents == list(islice(drift_stream(config, load_corpus()), 200))
        sources |= {"~" in str(one.source) for one in documents}
    assert sources == {True, False}


def test_without_a_cipher_a_ciphered_domain_is_unknown() -> None:
    with pytest.raises(ValueError, match="there is no domain 'dutch~thai'"):
        drift_stream(DriftConfig(kind="none", n_bytes=1000, domains=("dutch~thai",)), load_corpus())
