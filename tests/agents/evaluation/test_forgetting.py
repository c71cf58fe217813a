import numpy as np
import pytest
from numpy.typing import NDArray

from olrl.agents.evaluation.forgetting import SPLIT, forgetting_bpb, held_out_for, left_behind
from olrl.assembly import LoopConfig
from olrl.learners.causal_lm import CausalLMLearner
from olrl.models.load import load_model
from olrl.streams.chunk import Chunk
from olrl.streams.corpus import load_corpus
from tests.agents.rivals.runs import run


def chunks(*told: tuple[str, int]) -> list[Chunk]:
    """A chunk for each source and segment."""
    tokens, sizes = np.zeros((2, 5), np.int64), np.full(2, 4, np.int32)
    return [Chunk(tokens=tokens, n_bytes=sizes, source=source, segment=at) for source, at in told]


def test_what_still_trickles_in_after_a_change_is_left_behind_all_the_same() -> None:
    stream = chunks(("medical", 0), ("medical", 0), ("medical", 1), *[("dutch", 1)] * 4)
    assert left_behind(stream) == ("medical",)
    assert left_behind(stream[:2]) == left_behind([]) == ()
    assert left_behind([*stream, *chunks(("medical", 2))]) == ("dutch",)  # it has come back


def test_the_text_is_other_text_of_the_domain_and_the_same_each_time() -> None:
    model, config = load_model("femto"), LoopConfig(chunk=16, seq_len=64)
    stream = chunks(("stubs", 0), ("nowhere", 1), ("persian", 1), ("manual", 2))
    found, again = (held_out_for(stream, tokenizer=model.tokenizer, config=config) for _ in range(2))
    only_in_test = {name for name in ("stubs", "persian") if name not in load_corpus().domains(SPLIT)}
    assert set(found) == {"stubs", "persian"} - only_in_test != set()
    for name, text in found.items():
        assert sum(len(chunk.tokens) for chunk in text) == 32
        assert {chunk.source for chunk in text} == {name}
        assert all((a.tokens == b.tokens).all() for a, b in zip(text, again[name], strict=True))


class Flat(CausalLMLearner):
    """Scores every token alike, `nats`, and never trains."""

    def __init__(self, nats: float) -> None:
        self.nats = nats

    def score(self, examples: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.full(len(examples), self.nats)


@pytest.mark.parametrize(("bits", "told"), [(3.0, 3.0), (9.0, 8.0), (float("nan"), 8.0)])
def test_a_loss_is_in_bits_a_byte_and_at_most_the_uniform_predictors(bits: float, told: float) -> None:
    one = tuple(chunks(("dutch", 0)))  # four tokens of one byte each
    assert forgetting_bpb(Flat(bits * np.log(2)), {"dutch": one, "welsh": one}) == pytest.approx(told)
    assert forgetting_bpb(Flat(1.0), {}) is None


def test_to_measure_it_changes_nothing_and_costs_nothing() -> None:
    whole, short = run("base", rounds=35), run("base", rounds=4)
    assert whole.forgetting_bpb is not None
    assert 0 < whole.forgetting_bpb < 8
    assert short.forgetting_bpb is None  # a single segment so far
    assert short.loss_bpb == whole.loss_bpb[:4]
    assert whole.signal_examples == 4 * 34  # the probes of all rounds but the first
    assert run("never", rounds=35).forgetting_bpb != whole.forgetting_bpb
