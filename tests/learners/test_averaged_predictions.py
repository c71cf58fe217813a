import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from olrl.assembly import LoopConfig, assemble_loop
from olrl.control.decision import Base
from olrl.learners.averaged_predictions import AveragedPredictions
from olrl.learners.causal_lm import CausalLMLearner
from olrl.learners.optimizer import OptimizerConfig, OptimizerName
from olrl.loop import RoundRecord
from olrl.models.byte_level import ByteModelShape, build_model
from olrl.streams.chunk import Chunk

TINY = ByteModelShape(width=16, layers=1, heads=2, mlp=32)


def learner(name: OptimizerName = "vadam", *, memory: float = 1e4, **settings: float) -> CausalLMLearner:
    config = OptimizerConfig(name=name, memory=memory, **settings)  # type: ignore[arg-type] # numbers
    return CausalLMLearner(build_model(TINY, seed=0), optimizer=config)


def rows(n: int, seed: int = 0) -> NDArray[np.int32]:
    return np.random.default_rng(seed).integers(1, 256, (n, 9)).astype(np.int32)


def trained(given: CausalLMLearner) -> CausalLMLearner:
    given.update(iter([rows(4, seed=k) for k in range(5)]), Base(lr=1e-3).decision())
    return given


def test_a_loss_is_minus_the_log_of_the_probability_averaged_over_draws() -> None:
    averaged = AveragedPredictions(trained(learner()), passes=3)
    tokens = rows(5)
    chosen = np.take_along_axis(averaged.probabilities(tokens), tokens[:, 1:, None], axis=2)[..., 0]
    np.testing.assert_allclose(averaged.score(tokens), -np.log(chosen).mean(axis=1), rtol=1e-5)


def test_averaging_is_never_worse_than_its_draws_are_on_average_and_not_the_mean_weights() -> None:
    """By the concavity of the logarithm; with one draw both sides are the same."""
    inner = trained(learner(memory=100))
    tokens = rows(6)
    single = [AveragedPredictions(inner, passes=1, seed=k).score(tokens).mean() for k in range(20)]
    assert AveragedPredictions(inner, passes=20).score(tokens).mean() < np.mean(single)
    assert abs(np.mean(single) - inner.score(tokens).mean()) > 1e-3


def test_with_a_certain_posterior_it_is_the_mean() -> None:
    inner = trained(learner(memory=1e14))
    tokens = rows(5)
    np.testing.assert_allclose(
        AveragedPredictions(inner, passes=2).score(tokens), inner.score(tokens), rtol=1e-4
    )


def test_scoring_leaves_the_weights_as_they_were_and_is_the_same_again() -> None:
    averaged = AveragedPredictions(trained(learner()), passes=2)
    before = averaged.state_dict()["values"]
    first, again = averaged.score(rows(3)), averaged.score(rows(3))
    assert first.tolist() == again.tolist()
    assert averaged.state_dict()["values"].tolist() == before.tolist()


def test_every_pass_is_charged() -> None:
    chunks = [Chunk(tokens=rows(4, seed=k), n_bytes=np.full(4, 8, np.int32)) for k in range(3)]
    config = LoopConfig(chunk=4, seq_len=8, probes=2)

    def charged(passes: int) -> list[int]:
        inner = learner()
        loop = assemble_loop(
            iter(chunks),
            AveragedPredictions(inner, passes=passes) if passes else inner,
            base=Base(lr=1e-3),
            config=config,
        )
        records: list[RoundRecord] = []
        while loop.observe() is not None:
            if len(records) == 2:
                loop.rescore()
            records.append(loop.apply(Base(lr=1e-3).decision()))
        trained_on = sum(record.report.examples for record in records)
        assert sum(r.tokens for r in records) == 8 * (
            12 + trained_on + sum(r.signal_examples for r in records)
        )
        return [record.signal_examples for record in records]

    assert charged(0) == [0, 2, 2 + 4]  # probes, and the new chunk a second time
    assert charged(3) == [2 * 4, 2 + 2 * 6, 2 + 2 * 6 + 3 * 4]


@pytest.mark.parametrize("name", ["von", "vadam"])
def test_a_reports_uncertainty_is_the_posteriors_and_becomes_a_signal(name: OptimizerName) -> None:
    inner = learner(name)
    config = LoopConfig(chunk=4, seq_len=8)
    chunks = [Chunk(tokens=rows(4, seed=k), n_bytes=np.full(4, 8, np.int32)) for k in range(2)]
    loop = assemble_loop(iter(chunks), inner, base=Base(lr=1e-3), config=config)
    first = loop.observe()
    assert first is not None
    assert first.uncertainty is None  # nothing was learned yet
    loop.apply(Base(lr=1e-3).decision())
    second = loop.observe()
    assert second is not None
    assert inner.posterior is not None
    assert second.uncertainty == inner.posterior.uncertainty()


def test_vadam_without_noise_learns_what_adamw_does() -> None:
    quiet = CausalLMLearner(
        build_model(TINY, seed=0),
        optimizer=OptimizerConfig(name="vadam", memory=1e30, forgetting=1e-3, floor=1e-30),
    )
    adamw = CausalLMLearner(build_model(TINY, seed=0))
    for each in (quiet, adamw):
        trained(each)
    torch.testing.assert_close(quiet.flat.values, adamw.flat.values, rtol=1e-4, atol=1e-5)


def test_only_a_posterior_can_be_drawn_from() -> None:
    with pytest.raises(ValueError, match="only a learner with the optimizer von"):
        AveragedPredictions(CausalLMLearner(build_model(TINY, seed=0)), passes=2)
    with pytest.raises(ValueError, match="at least 1 draw, not 0"):
        AveragedPredictions(learner(), passes=0)
