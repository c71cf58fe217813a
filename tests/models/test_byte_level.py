import math

import numpy as np
import pytest

from olrl.assembly import LoopConfig, assemble_loop, cut_chunks
from olrl.control.decision import Base, Decision
from olrl.learners.causal_lm import CausalLMLearner
from olrl.learners.llama_network import LlamaNetwork
from olrl.models.byte_level import SHAPES, build_tokenizer
from olrl.models.load import load_model
from olrl.streams.document import Document

TEXTS = ["The words of this text are usual ones. ", "Größe und 世界, {x}->y();\t", "\U0001d11e \r\n " * 9]


@pytest.mark.parametrize("name", ["nano", "bpe"])
def test_a_loss_per_byte_is_not_one_per_token(name: str) -> None:
    """A model without weights finds all tokens alike: log2 of their number is what each costs."""
    loaded = load_model(name)
    for weights in loaded.model.parameters():
        weights.data.zero_()
    config = LoopConfig(chunk=2, seq_len=8)
    documents = [Document(text=text) for text in TEXTS * 2]
    loop = assemble_loop(
        cut_chunks(documents, loaded.tokenizer, config),
        CausalLMLearner(loaded.model),
        base=Base(lr=1.0),
        config=config,
    )
    tokens = bits = n_bytes = 0.0
    while (signals := loop.observe()) is not None:
        assert signals.loss_bpb is not None
        record = loop.apply(Decision(lr=1e-9, batch_size=1, window=1, update=False))
        tokens, n_bytes = tokens + 16, n_bytes + record.n_bytes
        bits += signals.loss_bpb * record.n_bytes
    text = b"".join(text.encode() + b"\0" for text in TEXTS * 2)
    ids = [token for text in TEXTS * 2 for token in [*loaded.tokenizer.encode(text)[0], 0]]
    tail = str(loaded.hf_tokenizer.decode(ids[int(tokens) :]))
    assert n_bytes == pytest.approx(len(text) - len(tail.encode()), abs=3)  # a character cut in two
    assert bits == pytest.approx(tokens * math.log2(loaded.tokenizer.vocab_size), rel=1e-5)


def test_each_token_of_several_bytes_counts_as_many_as_it_stands_for() -> None:
    loaded = load_model("bpe")
    tokens, n_bytes = loaded.tokenizer.encode(TEXTS[0])
    assert n_bytes.tolist() == [len(str(loaded.hf_tokenizer.decode([token])).encode()) for token in tokens]
    assert n_bytes.max() > 3


def test_merges_join_bytes_in_their_order_and_no_words() -> None:
    tokenizer = build_tokenizer([("t", "h"), ("th", "e"), ("Ġ", "the"), ("e", "Ġ")])
    assert tokenizer.encode("the the") == [257, 258]
    assert tokenizer.decode(tokenizer.encode("etha\0é")) == "etha\0é"


@pytest.mark.parametrize("name", SHAPES)
def test_shipped_llamas_are_computed_by_the_network_that_is_written_out(name: str) -> None:
    assert LlamaNetwork.computes(load_model(name).model)


def test_streams_are_planned_by_bytes_and_not_by_tokens() -> None:
    nano, bpe = load_model("nano"), load_model("bpe")
    assert nano.bytes_per_round(chunk=16) == 16 * 64
    texts = [Document(text="The value of this function is given to the next one. " * 200)]
    config = LoopConfig(chunk=16, seq_len=bpe.seq_len)
    chunks = list(cut_chunks(texts, bpe.tokenizer, config))
    found = np.mean([chunk.n_bytes.sum() for chunk in chunks])
    assert bpe.bytes_per_round(chunk=16) == pytest.approx(found, rel=0.4)
