import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from olrl.streams.tokens import ByteTokenizer, HuggingFaceTokenizer

SAMPLE = ["the cat sat on the mat", "naïve café, 100 € and more", "これは語です", "the then they 😀 there"]


def train(kind: str) -> PreTrainedTokenizerFast:
    if kind == "byte-level BPE":
        inner = Tokenizer(models.BPE())
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer: trainers.Trainer = trainers.BpeTrainer(
            vocab_size=300, initial_alphabet=alphabet, special_tokens=["<end>"], show_progress=False
        )
    else:  # drops spaces, lower-cases and takes accents off: offsets have gaps
        inner = Tokenizer(models.WordLevel(unk_token="<unk>"))
        inner.normalizer = normalizers.BertNormalizer()
        inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordLevelTrainer(special_tokens=["<end>", "<unk>"], show_progress=False)
    inner.train_from_iterator(SAMPLE, trainer)
    # transformers leaves it untyped
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>")  # type: ignore[no-untyped-call]


TOKENIZERS = {kind: HuggingFaceTokenizer(train(kind)) for kind in ("byte-level BPE", "words")}


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(text=st.text("the cat naïve€語😀 \n", max_size=40) | st.sampled_from(SAMPLE))
def test_bytes_sum_to_the_text(kind: str, text: str) -> None:
    ids, n_bytes = TOKENIZERS[kind].encode(text)
    assert ids.shape == n_bytes.shape
    assert (n_bytes >= 0).all()
    if len(ids):
        assert n_bytes.sum() == len(text.encode())
        assert 0 <= ids.min() <= ids.max() < TOKENIZERS[kind].vocab_size


def test_bytes_are_those_of_each_token() -> None:
    tokenizer = TOKENIZERS["byte-level BPE"]
    inner = train("byte-level BPE")
    ids, n_bytes = tokenizer.encode("the cat then")
    assert len(ids) < 12  # some merges were learned
    assert n_bytes.tolist() == [len(inner.decode([token])) for token in ids.tolist()]


def test_character_split_over_tokens_counts_with_the_first() -> None:
    inner = train("byte-level BPE")
    ids, n_bytes = HuggingFaceTokenizer(inner).encode("aж")
    assert len(ids) == 3  # a letter never seen, and none of its two bytes merged
    assert n_bytes.tolist() == [1, 2, 0]


def test_text_no_token_covers_counts_with_the_next() -> None:
    _, n_bytes = TOKENIZERS["words"].encode("the  cat\n")
    assert n_bytes.tolist() == [3, 6]  # two spaces with "cat", and the line end with the last


def test_separator_and_slow_tokenizers() -> None:
    inner = train("words")
    assert HuggingFaceTokenizer(inner).separator == inner.eos_token_id
    assert HuggingFaceTokenizer(inner, separator=1).separator == 1
    inner.eos_token = None
    with pytest.raises(ValueError, match="neither an end nor a beginning token"):
        HuggingFaceTokenizer(inner)
    with pytest.raises(ValueError, match="slow tokenizer"):
        HuggingFaceTokenizer(object())


@given(st.text())
def test_byte_tokenizer_is_exact(text: str) -> None:
    ids, n_bytes = ByteTokenizer().encode(text)
    assert bytes(ids.tolist()).decode() == text
    assert n_bytes.tolist() == list(itertools.repeat(1, len(ids)))
    assert ids.dtype == n_bytes.dtype == np.int32


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(text=st.text("the cat naïve€語😀 \n", max_size=40) | st.sampled_from(SAMPLE))
def test_the_short_way_to_the_tokens_is_that_of_a_call(kind: str, text: str) -> None:
    tokenizer = TOKENIZERS[kind]
    assert tokenizer._plain
    assert tokenizer._encode_plain(text) == tokenizer._encode_by_call(text)


def test_a_limit_on_length_left_by_another_call_is_lifted() -> None:
    inner = train("byte-level BPE")
    inner.pad_token = "<end>"
    tokenizer = HuggingFaceTokenizer(inner)
    before, _ = tokenizer.encode(SAMPLE[0])
    inner(SAMPLE[0], truncation=True, max_length=2, padding="max_length")
    assert tokenizer.encode(SAMPLE[0])[0].tolist() == before.tolist()


def test_a_class_that_encodes_in_its_own_way_is_called() -> None:
    class Shouting(PreTrainedTokenizerFast):
        def _encode_plus(self, text, **kwargs):  # type: ignore[no-untyped-def, override] # as transformers leaves it
            return super()._encode_plus(text.upper(), **kwargs)

    plain = train("byte-level BPE")
    own = Shouting(tokenizer_object=plain.backend_tokenizer, eos_token="<end>")  # type: ignore[no-untyped-call] # theirs is untyped
    shouted, _ = HuggingFaceTokenizer(own).encode("the cat")
    assert shouted.tolist() == HuggingFaceTokenizer(plain).encode("THE CAT")[0].tolist()
