from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from olrl.control.decision import Decision
from olrl.learners.classifier import ClassifierLearner
from olrl.learners.classifier_network import ClassifierNetwork, SequenceNetwork
from olrl.models.classify import load_classifier
from olrl.streams.document import Document
from olrl.streams.labelled import PAD, LabelledChunker

DECISION = Decision(lr=0.05, batch_size=8, window=1)
Rows = NDArray[np.float32]


def head(classes: int = 3, features: int = 4) -> ClassifierLearner:
    module = torch.nn.Linear(features, classes)
    for weights in module.parameters():
        torch.nn.init.zeros_(weights)
    row, dtype = (1 + features,), np.dtype(np.float32)
    return ClassifierLearner(module, ClassifierNetwork(module), row=row, dtype=dtype)


def labelled(n: int = 64, *, seed: int = 0) -> Rows:
    """Rows whose class is the largest of their first three features."""
    features = np.random.default_rng(seed).standard_normal((n, 4)).astype(np.float32)
    return np.column_stack([features[:, :3].argmax(axis=1), features]).astype(np.float32)


def batches(rows: Rows, size: int = 8) -> Iterator[Rows]:
    yield from (rows[k : k + size] for k in range(0, len(rows), size))


def test_a_head_that_knows_nothing_finds_all_classes_equally_probable() -> None:
    learner = head()
    judgement = learner.judge(labelled())
    np.testing.assert_allclose(judgement.losses, np.log(3), rtol=1e-6)
    np.testing.assert_array_equal(judgement.losses, learner.score(labelled()))


def test_it_learns_what_can_be_learned() -> None:
    learner = head()
    for _ in range(10):
        learner.update(batches(labelled()), DECISION)
    judgement = learner.judge(labelled(seed=1))
    assert judgement.hits is not None
    assert judgement.hits.mean() > 0.9
    assert judgement.losses.mean() < 0.5


def test_the_gradient_of_a_softmax_head_is_the_one_worked_out_by_hand() -> None:
    learner, rows = head(), labelled(8)
    learner.update(iter([rows]), Decision(lr=0.0, batch_size=8, window=1))
    wanted = np.eye(3)[rows[:, 0].astype(int)]
    by_hand = (1 / 3 - wanted).T @ rows[:, 1:] / 8  # of the mean loss, where all classes are equally probable
    found = learner.flat.grads.numpy()[:12].reshape(3, 4)
    np.testing.assert_allclose(found, by_hand, atol=1e-6)


def test_scoring_looks_at_the_class_and_predicting_does_not() -> None:
    learner, rows = head(), labelled()
    learner.update(batches(rows), DECISION)
    others = rows.copy()
    others[:, 0] = (others[:, 0] + 1) % 3
    np.testing.assert_array_equal(learner.log_probabilities(rows), learner.log_probabilities(others))
    assert learner.score(others).mean() > learner.score(rows).mean()


def test_a_step_that_is_not_finite_is_not_taken() -> None:
    learner, rows = head(), labelled(8)
    rows[3, 2] = np.nan
    report = learner.update(iter([rows]), DECISION)
    assert (report.updates, report.nonfinite) == (0, 1)
    assert np.isfinite(learner.state_dict()["values"]).all()


@pytest.fixture(scope="module")
def whole() -> ClassifierLearner:
    loaded = load_classifier("pico", classes=("ham", "spam"), frozen=False)
    network = SequenceNetwork(loaded.module)
    return ClassifierLearner(loaded.module, network, row=(13,), dtype=np.dtype(np.int32))


def texts(*, label: int, text: bytes, length: int = 12) -> NDArray[np.int32]:
    row = np.full(length + 1, PAD, dtype=np.int32)
    row[0], row[1 : 1 + len(text)] = label, list(text)
    return row


def test_a_whole_model_computes_what_transformers_computes_of_each_text_alone(
    whole: ClassifierLearner,
) -> None:
    whole.update(iter([np.stack([texts(label=1, text=b"buy now"), texts(label=0, text=b"hello")])]), DECISION)
    rows = np.stack([texts(label=1, text=b"buy it"), texts(label=0, text=b"good morning")])
    with torch.inference_mode():
        alone = [
            whole.model(
                input_ids=torch.tensor([[t for t in row[1:].tolist() if t != PAD]]),
                labels=torch.tensor([int(row[0])]),
            ).loss.item()
            for row in rows
        ]
    np.testing.assert_allclose(whole.score(rows), alone, rtol=1e-4)


def test_padding_changes_nothing(whole: ClassifierLearner) -> None:
    short, long = (texts(label=1, text=b"buy it", length=length)[None] for length in (8, 12))
    np.testing.assert_allclose(whole.score(short), whole.score(long), rtol=1e-6)


def test_a_frozen_encoder_gives_a_text_the_same_features_in_any_company() -> None:
    encoder = load_classifier("pico", classes=("ham", "spam"), frozen=True).encoder
    assert encoder is not None
    rows = np.stack([texts(label=0, text=b"hello"), texts(label=1, text=b"good morning")])
    together = encoder.features(rows)
    assert together.shape == (2, 1 + encoder.n_features)
    np.testing.assert_allclose(together[:1], encoder.features(rows[:1]), atol=1e-4)
    assert together[:, 0].tolist() == [0, 1]
    assert not np.allclose(together[0, 1:], together[1, 1:])


def test_a_document_whose_label_comes_late_has_the_features_that_it_arrived_with() -> None:
    loaded = load_classifier("pico", classes=("ham", "spam"), frozen=True)
    assert loaded.encoder is not None
    chunker = LabelledChunker(loaded.tokenizer, classes=loaded.classes, n_documents=1, seq_len=12)
    late = Document(text="", id=1, label="spam")
    documents = [Document(text="buy it", id=1), Document(text="hello", label="ham"), late]
    first, second = loaded.encoder.over(chunker.chunks(documents))
    assert (first.tokens[0, 0], second.tokens[0, 0]) == (0, 1)
    np.testing.assert_array_equal(first.tokens[0, 1:], first.arrivals[1, 1:])
    np.testing.assert_allclose(second.tokens[0, 1:], first.arrivals[0, 1:], atol=1e-4)
    assert second.text is not None
    assert bytes(t for t in second.text[0, 1:].tolist() if t >= 0) == b"buy it"


@pytest.mark.parametrize("classes", [("ham",), ("ham", "ham"), ()])
def test_fewer_than_two_classes_are_refused(classes: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="at least two different classes"):
        load_classifier("pico", classes=classes, frozen=True)


def test_an_architecture_without_a_classifier_is_refused_and_its_frozen_head_is_not() -> None:
    with pytest.raises(ValueError, match="train a head on it, frozen"):
        load_classifier("femto", classes=("ham", "spam"), frozen=False)
    assert load_classifier("femto", classes=("ham", "spam"), frozen=True).encoder is not None
