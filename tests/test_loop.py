import numpy as np
import pytest

from olrl.assembly import LoopConfig, assemble_loop, cut_chunks
from olrl.control.decision import Base, Decision
from olrl.learners.causal_lm import CausalLMLearner
from olrl.learners.cost import CostModel
from olrl.loop import OnlineLoop, RoundRecord
from olrl.models.byte_level import ByteModelShape, build_model
from olrl.streams.document import Document
from olrl.streams.tokens import ByteTokenizer

BASE = Base(lr=1e-3, batch_size=4, window=4)
CONFIG = LoopConfig(chunk=4, seq_len=16)
TEXT = [Document(text=f"line {k} of a small text that goes on for a while") for k in range(40)]


def loop(documents: list[Document] = TEXT, config: LoopConfig = CONFIG) -> OnlineLoop:
    learner = CausalLMLearner(build_model(ByteModelShape(width=16, layers=1, heads=2, mlp=32), seed=0))
    return assemble_loop(cut_chunks(documents, ByteTokenizer(), config), learner, base=BASE, config=config)


def test_a_chunk_is_scored_before_any_training_on_it() -> None:
    one = loop()
    signals = one.observe()
    assert signals is not None
    again = loop().observe()
    assert again is not None
    assert signals.loss_nats == again.loss_nats
    scored = [round_.loss_nats for round_ in _play(loop(), BASE.decision())]
    untrained = [round_.loss_nats for round_ in _play(loop(), BASE.decision(update=False))]
    assert scored[0] == untrained[0]
    assert scored[-1] is not None
    assert untrained[-1] is not None
    assert scored[-1] < untrained[-1]


def _play(one: OnlineLoop, decision: Decision) -> list[RoundRecord]:
    records = []
    while one.observe() is not None:
        records.append(one.apply(decision))
    return records


def test_no_later_chunk_changes_an_earlier_loss() -> None:
    changed = [*TEXT[:20], *(Document(text="something else entirely " * 3) for _ in range(20))]
    a = [r.loss_nats for r in _play(loop(), BASE.decision())]
    b = [r.loss_nats for r in _play(loop(changed), BASE.decision())]
    assert a[:10] == b[:10]
    assert a[-3:] != b[-3:]


def test_all_updates_of_a_round_are_under_its_decision_and_within_the_budget() -> None:
    one = loop(config=LoopConfig(chunk=4, seq_len=16, cost=CostModel(update_cost=2, budget=20)))
    one.observe()
    record = one.apply(Decision(lr=1e-3, batch_size=3, window=1))
    assert (record.report.updates, record.report.examples, record.spent) == (4, 12, 20)


def test_a_skipped_round_costs_nothing_changes_nothing_and_ages_the_gradients() -> None:
    one = loop()
    one.observe()
    one.apply(BASE.decision())
    before = one.learner.state_dict()["values"]
    first = one.observe()
    record = one.apply(BASE.decision(update=False))
    second = one.observe()
    assert record.spent == 0
    assert record.report.updates == 0
    np.testing.assert_array_equal(before, one.learner.state_dict()["values"])
    assert first is not None
    assert second is not None
    assert (first.gradient_age, second.gradient_age) == (0, 1)
    assert second.updates == 0


def test_the_wrong_order_is_loud() -> None:
    one = loop()
    with pytest.raises(RuntimeError, match="starts with observe"):
        one.apply(BASE.decision())
    one.observe()
    with pytest.raises(RuntimeError, match="twice"):
        one.observe()


def test_masked_signals_are_missing_and_the_others_stay() -> None:
    one = loop(config=LoopConfig(chunk=4, seq_len=16, masked=frozenset({"grad_cos", "hist_shift"})))
    for _ in range(3):
        signals = one.observe()
        one.apply(BASE.decision())
    assert signals is not None
    assert signals.grad_cos is None
    assert signals.hist_shift is None
    assert signals.grad_norm is not None
    assert signals.hist_shift_last is not None
