"""All that is registered and has state, found by name, each with an input for every round."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from olrl.agents.rivals.cosine import Cosine
from olrl.agents.rivals.evolved import START, Evolved
from olrl.agents.rivals.held import Held
from olrl.agents.rivals.one_knob import OneKnob
from olrl.agents.rivals.prodigy import prodigy
from olrl.agents.rivals.random_actions import RandomActions
from olrl.agents.rivals.replay import Replay
from olrl.agents.rivals.schedule_free import schedule_free_adamw
from olrl.agents.rivals.shuffled import Shuffled
from olrl.agents.rivals.wsd import WSD
from olrl.control.actions import ACTION_CODINGS
from olrl.control.coding import ActionCoding, ActionState
from olrl.control.controller import Controller
from olrl.control.guard import Guard
from olrl.control.policy import FrozenPolicy
from olrl.control.registry import CONTROLLERS, make_controller
from olrl.learners.answers import AnswerLearner
from olrl.learners.averaged_predictions import AveragedPredictions
from olrl.learners.causal_lm import CausalLMLearner, OptimizerMaker
from olrl.learners.classifier import ClassifierLearner
from olrl.learners.classifier_network import ClassifierNetwork
from olrl.learners.cost import CostModel
from olrl.learners.learner import Learner, UpdateReport
from olrl.learners.optimizer import OptimizerConfig, OptimizerName
from olrl.learners.quadratic import QuadraticLearner
from olrl.memory import Memory
from olrl.models.byte_level import ByteModelShape, build_model
from olrl.monitor.detectors import DETECTORS, DetectorBank
from olrl.monitor.feature_spec import FEATURE_SPEC
from olrl.monitor.features import FeatureExtractor, batch_signals
from olrl.monitor.histograms import TokenHistograms
from olrl.monitor.monitor import LoopMonitor
from olrl.streams.answers import AnswerChunker, as_context
from olrl.streams.chunk import Chunk
from olrl.streams.chunker import Chunker
from olrl.streams.document import Document
from olrl.streams.labelled import LabelledChunker
from olrl.streams.tokens import ByteTokenizer
from tests.conformance.inputs import BASE, chunk, document, loss, report, rng_of, signals, targets, tokens
from tests.conformance.subject import ARRAYS, COPY, JSON, Subject
from tests.monitor.selected_sets import selected_set


def _labelled(k: int) -> Document:
    """A document without its label, or that of the one nine before it."""
    if k % 2 and k > 9:
        return Document(text="", id=k - 9, label="ab"[k // 2 % 2])
    return replace(document(k), id=k)


def _memory_round(memory: Memory, given: NDArray[np.int32]) -> Any:
    memory.add(given)
    k = memory.chunks_seen
    return [memory.draw(round_=k, window=window, start=0, count=6) for window in (1, 4, 64, 0)]


def _monitor_round(monitor: LoopMonitor, given: tuple[Chunk, UpdateReport]) -> Any:
    new, done = given
    losses = np.full(4, loss(new.index))
    measured = monitor.measure(new, losses, losses[:2] + 0.1, in_force=BASE.decision())
    monitor.trained(BASE.decision(), done, spent=60.0)
    return measured


def _monitor(seed: int) -> LoopMonitor:
    return LoopMonitor(detectors=DetectorBank(("adwin",)), histograms=TokenHistograms(), cost=CostModel())


def _detector(name: str) -> Subject:
    return Subject(
        name=f"detector {name}",
        make=lambda seed: DetectorBank((name,)),
        given=loss,
        step=lambda bank, given: bank.update(given, given / 5),
        codec=JSON,
        rounds=200,
        long=900,
        flat_bytes=20_000,  # a detector remembers from 0 to 512 inputs, and its memory swings so much
    )


def _policy(coding: ActionCoding, seed: int) -> FrozenPolicy:
    """A policy of random weights, lively enough that its decisions change from round to round."""
    rng = np.random.default_rng(seed)
    sizes = (len(FEATURE_SPEC), 16, sum(coding.nvec))
    layers = [
        (rng.standard_normal((n_out, n_in)).astype(np.float32), np.zeros(n_out, dtype=np.float32))
        for n_in, n_out in pairwise(sizes)
    ]
    return FrozenPolicy(
        layers=layers, mean=np.zeros(len(FEATURE_SPEC)), std=np.ones(len(FEATURE_SPEC)), coding=coding
    )


def _controller(name: str, make: Callable[[int], Controller]) -> Subject:
    return Subject(
        name=f"controller {name}",
        make=make,
        given=signals,
        step=lambda controller, given: controller.decide(given),
        codec=JSON,
        rounds=80,
        long=1_200,
    )


def _rule(name: str) -> Subject:
    return _controller(name, lambda seed: make_controller(name, base=BASE))


def _policy_under(coding: str) -> Subject:
    subject = _controller(
        f"policy {coding}", lambda seed: _policy(ACTION_CODINGS[coding](), seed).controller(base=BASE)
    )
    return replace(subject, long=300)


def _lively(seed: int) -> Controller:
    return _policy(ACTION_CODINGS["moves"](), seed).controller(base=BASE)


_DECISIONS = [replace(BASE.decision(), lr=1e-3 * k) for k in range(1, 60)]
RIVALS: dict[str, Callable[[int], Controller]] = {
    "cosine": lambda seed: Cosine(base=BASE, rounds=60),
    "wsd": lambda seed: WSD(base=BASE, rounds=60),
    "evolved": lambda seed: Evolved(START, base=BASE),
    "random": lambda seed: RandomActions(base=BASE, coding=ACTION_CODINGS["moves"](), seed=seed),
    "shuffled": lambda seed: Shuffled(_lively(seed), seed=seed),
    "one knob": lambda seed: OneKnob(_lively(seed), knob="window"),
    "replay": lambda seed: Replay(_DECISIONS, base=BASE),
    "held": lambda seed: Held(base=BASE),
}


class Steered:
    """Learners under a coding: the coding has settings only, what it moves is the state."""

    def __init__(self, coding: ActionCoding) -> None:
        self.coding = coding
        self.state: ActionState = coding.start_at([BASE, BASE])

    def round(self, given: tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]) -> Any:
        luck, measured = given
        decisions = self.coding.apply(self.state, (luck * self.coding.nvec).astype(np.int64), measured)
        return vars(decisions)

    def state_dict(self) -> Any:
        return self.state.state_dict()

    def load_state_dict(self, state: Any) -> None:
        self.state.load_state_dict(state)


def _coding(name: str) -> Subject:
    return Subject(
        name=f"action coding {name}",
        make=lambda seed: Steered(ACTION_CODINGS[name]()),
        given=lambda k: (
            rng_of(k).random((2, len(ACTION_CODINGS[name].nvec))),
            batch_signals([signals(k), signals(k + 1)]),
        ),
        step=lambda steered, given: steered.round(given),
        codec=JSON,
    )


def _train(learner: Learner, given: NDArray[Any]) -> Any:
    def batches() -> Iterator[NDArray[Any]]:
        yield from (given[:2], given[2:], given)

    scored = learner.score(given)
    done = learner.update(batches(), BASE.decision())
    return scored, vars(done), learner.score(given)


def _language_model(seed: int, optimizer: OptimizerConfig | OptimizerMaker) -> CausalLMLearner:
    model = build_model(ByteModelShape(width=8, layers=1, heads=2, mlp=16), seed=seed)
    return CausalLMLearner(model, optimizer=optimizer)


def _bayesian(seed: int, name: OptimizerName) -> CausalLMLearner:
    return _language_model(seed, OptimizerConfig(name=name, seed=seed, memory=1e4))


def _answers(seed: int) -> AnswerLearner:
    return AnswerLearner(build_model(ByteModelShape(width=8, layers=1, heads=2, mlp=16), seed=seed))


def _answer_rows(k: int) -> NDArray[np.int32]:
    """Token sequences of which the first half is context."""
    rows = tokens(k)
    rows[:, :4] = as_context(rows[:, :4])
    return rows


def _classifier(seed: int) -> ClassifierLearner:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = torch.nn.Linear(3, 2)
    return ClassifierLearner(head, ClassifierNetwork(head), row=(4,), dtype=np.dtype(np.float32))


def _class_rows(k: int) -> NDArray[np.float32]:
    """Four rows of three features, with their class before them."""
    rows = targets(k).astype(np.float32)
    rows[:, 0] = np.arange(4) % 2
    return rows


def _quadratic(seed: int, optimizer: str) -> QuadraticLearner:
    start = np.random.default_rng(seed).standard_normal(3)
    return QuadraticLearner(start=start, curvature=np.array([0.5, 1.0, 4.0]), optimizer=optimizer)


def _learner(name: str, make: Callable[[int], Learner], given: Callable[[int], Any]) -> Subject:
    return Subject(
        name=f"learner {name}",
        make=make,
        given=given,
        step=_train,
        codec=ARRAYS,
        rounds=10,
        long=40,
        flat_bytes=40_000,  # PyTorch's own caches warm up for long; an array kept a round is more
    )


_MOMENTUM = OptimizerConfig(name="sgd", momentum=0.9)
LEARNERS = [
    _learner("causal-lm adamw", lambda seed: _language_model(seed, OptimizerConfig()), tokens),
    _learner("causal-lm sgd", lambda seed: _language_model(seed, _MOMENTUM), tokens),
    _learner("causal-lm schedule-free", lambda seed: _language_model(seed, schedule_free_adamw), tokens),
    _learner("causal-lm prodigy", lambda seed: _language_model(seed, prodigy), tokens),
    _learner("causal-lm von", lambda seed: _bayesian(seed, "von"), tokens),
    _learner("causal-lm vadam", lambda seed: _bayesian(seed, "vadam"), tokens),
    _learner(
        "averaged predictions", lambda seed: AveragedPredictions(_bayesian(seed, "vadam"), passes=2), tokens
    ),
    _learner("answers", _answers, _answer_rows),
    _learner("classifier", _classifier, _class_rows),
    _learner("quadratic adamw", lambda seed: _quadratic(seed, "adamw"), targets),
    _learner("quadratic sgd", lambda seed: _quadratic(seed, "sgd"), targets),
]

SUBJECTS: list[Subject] = [
    Subject(
        name="memory",
        make=lambda seed: Memory(
            chunk_size=4, example_shape=(9,), dtype=np.int32, reservoir_size=64, seed=seed
        ),
        given=tokens,
        step=_memory_round,
        codec=ARRAYS,
        rounds=100,
    ),
    *(_detector(name) for name in DETECTORS),
    Subject(
        name="token histograms",
        make=lambda seed: TokenHistograms(),
        given=tokens,
        step=lambda histograms, given: histograms.shift(given, window=4),
        codec=ARRAYS,
    ),
    Subject(
        name="loop monitor",
        make=_monitor,
        given=lambda k: (chunk(k), report(k)),
        step=_monitor_round,
        codec=COPY,
        long=900,
        flat_bytes=20_000,  # a detector remembers from 0 to 512 inputs, and its memory swings so much
    ),
    Subject(
        name="features",
        make=lambda seed: FeatureExtractor.for_bases([BASE, BASE]),
        given=lambda k: batch_signals([signals(k), signals(k + 5)]),
        step=lambda features, given: features.update(given),
        codec=JSON,
    ),
    Subject(
        name="selected features",
        make=lambda seed: selected_set().extractor([BASE, BASE]),
        given=lambda k: batch_signals([signals(k), signals(k + 5)]),
        step=lambda features, given: features.update(given),
        codec=JSON,
    ),
    Subject(
        name="chunker",
        make=lambda seed: Chunker(ByteTokenizer(), n_sequences=4, seq_len=8),
        given=document,
        step=lambda chunker, given: [vars(cut) for cut in chunker.chunks([given])],
        codec=JSON,
    ),
    Subject(
        name="labelled chunker",
        make=lambda seed: LabelledChunker(ByteTokenizer(), classes=("a", "b"), n_documents=4, seq_len=8),
        given=_labelled,
        step=lambda chunker, given: [vars(cut) for cut in chunker.chunks([given])],
        codec=JSON,
        flat_bytes=20_000,  # up to nine documents wait for their labels
    ),
    Subject(
        name="answer chunker",
        make=lambda seed: AnswerChunker(ByteTokenizer(), n_sequences=4, seq_len=8),
        given=lambda k: replace(document(k), label="an answer"),
        step=lambda chunker, given: [vars(cut) for cut in chunker.chunks([given])],
        codec=JSON,
    ),
    *(_rule(name) for name in CONTROLLERS),
    *(_policy_under(name) for name in ACTION_CODINGS),
    *(replace(_controller(f"rival {name}", make), long=300) for name, make in RIVALS.items()),
    Subject(
        name="guard",
        make=lambda seed: Guard(base=BASE),
        given=lambda k: (replace(BASE.decision(), lr=10.0 ** -rng_of(k).integers(1, 6)), signals(k)),
        step=lambda guard, given: guard.check(*given),
        codec=JSON,
        rounds=80,
        long=1_200,
    ),
    *(_coding(name) for name in ACTION_CODINGS),
    *LEARNERS,
]
