from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from olrl.control.decision import Decision
from olrl.learners.answers import AnswerLearner
from olrl.models.load import load_model
from olrl.streams.answers import AnswerChunker
from olrl.streams.document import Document

PAIRS = (("What is h2o", "water"), ("Who was the first president?", "Washington"), ("1+1", "2"))


@pytest.fixture
def loaded() -> Any:
    return load_model("pico")


def rows(loaded: Any, pairs: tuple[tuple[str, str], ...] = PAIRS) -> Any:
    chunker = AnswerChunker(loaded.tokenizer, n_sequences=len(pairs), seq_len=48)
    [chunk] = chunker.chunks(Document(text=question, label=answer) for question, answer in pairs)
    return chunk


def test_the_loss_is_that_of_the_answer_and_its_end_alone(loaded: Any) -> None:
    losses = AnswerLearner(loaded.model).score(rows(loaded).tokens)
    for loss, (question, answer) in zip(losses, PAIRS, strict=True):
        context, wanted = b"\0" + question.encode() + b"\n", answer.encode() + b"\0"
        ids = torch.tensor([list(context + wanted)])
        with torch.inference_mode():
            logits = loaded.model(input_ids=ids[:, :-1]).logits[0, len(context) - 1 :]
        expected = functional.cross_entropy(logits, ids[0, len(context) :]).item()
        assert loss == pytest.approx(expected, rel=1e-4)


def test_bits_per_byte_are_of_the_bytes_of_the_answers(loaded: Any) -> None:
    chunk = rows(loaded)
    assert chunk.n_bytes.tolist() == [len(answer) + 1 for _, answer in PAIRS]
    assert chunk.nats(np.ones(3)) == chunk.n_bytes.sum()


def test_exact_match_is_what_greedy_decoding_says(loaded: Any) -> None:
    learner, chunk = AnswerLearner(loaded.model), rows(loaded)
    for _ in range(40):  # until some of the answers are known by heart
        learner.update(iter([chunk.tokens]), Decision(lr=3e-3, batch_size=3, window=1))
    hits = learner.judge(chunk.tokens).hits
    assert hits is not None
    answers = [greedy(loaded.model, question, len(answer) + 1) for question, answer in PAIRS]
    assert hits.tolist() == [
        found == answer + "\0" for found, (_, answer) in zip(answers, PAIRS, strict=True)
    ]
    assert hits.any()


def greedy(model: torch.nn.Module, question: str, length: int) -> str:
    ids = list(b"\0" + question.encode() + b"\n")
    for _ in range(length):
        with torch.inference_mode():
            ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return bytes(ids[-length:]).decode("utf-8", "replace")


def test_what_is_too_long_loses_the_beginning_of_the_question_and_the_end_of_the_answer(loaded: Any) -> None:
    chunker = AnswerChunker(loaded.tokenizer, n_sequences=1, seq_len=12)
    [chunk] = chunker.chunks([Document(text="a very long question", label="yes")])
    shown = "".join(chr(-2 - t if t < 0 else t) for t in chunk.tokens[0].tolist() if t != -1)
    assert shown == "\0uestion\nyes\0"
    [chunk] = chunker.chunks([Document(text="why", label="a very long answer")])
    assert (chunk.tokens[0, 1:] >= 0).sum() == 11
