"""A stack of learners beside single ones, and written-out networks beside the library's."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from olrl.control.decision import Decision
from olrl.learners.causal_lm import CausalLMLearner
from olrl.learners.compiled_log_bilinear_network import CompiledLogBilinearNetwork
from olrl.learners.learner import UpdateReport
from olrl.learners.library_network import LibraryNetwork, VmappedNetwork
from olrl.learners.llama_network import LlamaNetwork
from olrl.learners.log_bilinear_network import LogBilinearNetwork
from olrl.learners.networks import network_of
from olrl.learners.optimizer import OptimizerConfig
from olrl.learners.stack import LearnerStack, StackReports
from olrl.models.log_bilinear import LogBilinearConfig, LogBilinearForCausalLM

LENGTH = 12


def llama(*, tied: bool = True, kv_heads: int = 2, layers: int = 2) -> PreTrainedModel:
    config = LlamaConfig(
        vocab_size=256,
        hidden_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=kv_heads,
        intermediate_size=24,
        max_position_embeddings=64,
        tie_word_embeddings=tied,
        bos_token_id=0,
        eos_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LlamaForCausalLM(config)


def log_bilinear() -> PreTrainedModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LogBilinearForCausalLM(LogBilinearConfig(context=3))


def gpt2() -> PreTrainedModel:
    config = GPT2Config(
        vocab_size=256, n_embd=16, n_layer=1, n_head=2, n_positions=64, bos_token_id=0, eos_token_id=0
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = GPT2LMHeadModel(config)
    model.train(False)
    return model


MODELS = {
    "llama": llama,
    "llama, untied": lambda: llama(tied=False),
    "llama, shared keys": lambda: llama(kv_heads=1),
    "log-bilinear": log_bilinear,
    "gpt2": gpt2,
}


def weights_of(model: PreTrainedModel, n: int, *, spread: float = 0.05) -> torch.Tensor:
    """n rows of weights, each moved away from the model's own at random."""
    flat = torch.cat([p.detach().reshape(-1) for p in model.parameters()]).repeat(n, 1)
    return flat + spread * torch.randn(flat.shape, generator=torch.Generator().manual_seed(1))


def some_tokens(*shape: int, seed: int = 0) -> NDArray[np.int32]:
    return np.random.default_rng(seed).integers(1, 256, (*shape, LENGTH + 1)).astype(np.int32)


def in_library(
    model: PreTrainedModel, weights: torch.Tensor, tokens: torch.Tensor, scale: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Losses and gradient of one learner, by the model's own forward and autograd."""
    with torch.no_grad():
        torch.nn.utils.vector_to_parameters(weights, model.parameters())
    model.zero_grad()
    losses = LibraryNetwork(model).add_gradients(
        weights[None], tokens[None], to=weights[None], scale=scale[None]
    )
    return losses[0], torch.cat([p.grad.reshape(-1) for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("n", [1, 3])
def test_losses_and_gradients_are_the_librarys(name: str, n: int) -> None:
    model = MODELS[name]()
    weights, tokens = weights_of(model, n), torch.from_numpy(some_tokens(n, 4).astype(np.int64))
    network = network_of(model, learners=2)
    gradients = torch.full_like(weights, 0.5)  # what is there already stays
    scale = torch.tensor([0.25, 0.0, 0.25, 0.5]).repeat(n, 1)
    losses = network.add_gradients(weights, tokens, to=gradients, scale=scale)
    torch.testing.assert_close(network.losses(weights, tokens), losses)
    for i in range(n):
        expected, gradient = in_library(model, weights[i], tokens[i], scale[i])
        torch.testing.assert_close(losses[i], expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(gradients[i] - 0.5, gradient, rtol=1e-3, atol=2e-6)


def test_networks_are_written_out_where_they_can_be() -> None:
    assert isinstance(network_of(llama()), LlamaNetwork)
    assert isinstance(network_of(log_bilinear()), CompiledLogBilinearNetwork)
    elsewhere = log_bilinear()
    torch.nn.Module.to(elsewhere, "meta")
    assert isinstance(network_of(elsewhere), LogBilinearNetwork)
    assert isinstance(network_of(llama(kv_heads=1)), LibraryNetwork)
    assert isinstance(network_of(gpt2(), learners=2), VmappedNetwork)
    half = llama()
    torch.nn.Module.to(half, torch.bfloat16)
    assert isinstance(network_of(half), LibraryNetwork)
    frozen = llama()
    frozen.get_input_embeddings().weight.requires_grad_(False)
    assert isinstance(network_of(frozen), LibraryNetwork)


# Batch size and steps of each learner: whole blocks, blocks that shrink, one that does nothing.
SIZES, UPDATES = (1, 2, 2, 5, 8, 2), (4, 3, 1, 2, 1, 0)


def rounds_of_stack(stack: LearnerStack, rounds: int) -> list[StackReports]:
    which = np.arange(len(SIZES))
    return [
        stack.update(
            some_tokens(len(SIZES), 10, seed=k),
            which,
            batch_size=np.array(SIZES),
            updates=np.array(UPDATES),
            lr=0.01 * 2.0 ** -which.astype(float),
            weight_decay=np.where(which == 1, 0.1, 0.0),
            pull=np.where(which == 2, 0.7, 0.0),
        )
        for k in range(rounds)
    ]


def rounds_of_one(learner: CausalLMLearner, i: int, rounds: int) -> list[UpdateReport]:
    size, updates = SIZES[i], UPDATES[i]
    decay, pull = 0.1 if i == 1 else 0.0, 0.7 if i == 2 else 0.0
    decision = Decision(lr=0.01 * 2.0**-i, batch_size=size, window=1, weight_decay=decay, pull=pull)
    reports = []
    for k in range(rounds):
        rows = some_tokens(len(SIZES), 10, seed=k)[i]
        batches = (rows[u * size : (u + 1) * size] for u in range(updates))
        reports.append(learner.update(batches, decision))
    return reports


@pytest.mark.parametrize("name", ["llama", "log-bilinear", "gpt2"])
@pytest.mark.parametrize(
    "optimizer", [OptimizerConfig(), OptimizerConfig(name="sgd"), OptimizerConfig(name="sgd", momentum=0.9)]
)
def test_a_stack_is_as_many_single_learners(name: str, optimizer: OptimizerConfig) -> None:
    stack = LearnerStack(MODELS[name](), len(SIZES), optimizer=optimizer, pass_size=4)
    together = rounds_of_stack(stack, rounds=3)
    held_out = some_tokens(len(SIZES), 4, seed=9)
    scores = stack.score(held_out, np.arange(len(SIZES)))
    for i in range(len(SIZES)):
        learner = CausalLMLearner(MODELS[name](), optimizer=optimizer)
        for alone, row in zip(rounds_of_one(learner, i, rounds=3), together, strict=True):
            assert (alone.updates, alone.nonfinite) == (row.updates[i], row.nonfinite[i])
            for figure in ("train_loss_nats", "grad_norm", "grad_cos", "grad_snr", "update_ratio"):
                expected = getattr(alone, figure)
                found = getattr(row, figure)[i]
                if expected is None:
                    assert np.isnan(found), figure
                else:
                    assert found == pytest.approx(expected, rel=2e-3, abs=1e-5), figure
        np.testing.assert_allclose(scores[i], learner.score(held_out[i]), atol=1e-5)


@pytest.mark.parametrize("name", ["llama", "log-bilinear"])
def test_a_stack_of_others_changes_nothing_of_a_learners_own(name: str) -> None:
    """Whoever shares the stack: references are kept in a cache, whatever was computed beside them."""
    many, few = LearnerStack(MODELS[name](), 6), LearnerStack(MODELS[name](), 2)
    rows = some_tokens(6, 8)

    def train(stack: LearnerStack, k: int) -> NDArray[np.float64]:
        which = np.arange(k)
        settings = {"batch_size": np.full(k, 2), "updates": np.full(k, 4)}
        stack.update(rows[:k], which, **settings, lr=np.full(k, 0.01), weight_decay=np.zeros(k))
        return stack.score(rows[:k], which)

    np.testing.assert_array_equal(train(many, 6)[:2], train(few, 2))


@pytest.mark.parametrize("name", ["llama", "log-bilinear"])
def test_a_learner_that_is_lost_takes_no_step_and_no_one_else_with_it(name: str) -> None:
    stack, sound = LearnerStack(MODELS[name](), 3), LearnerStack(MODELS[name](), 3)
    stack.values[1] = torch.nan
    settings = {"batch_size": np.full(3, 2), "updates": np.full(3, 3)}
    arguments = {**settings, "lr": np.full(3, 0.01), "weight_decay": np.zeros(3)}
    report = stack.update(some_tokens(3, 6), np.arange(3), **arguments)
    expected = sound.update(some_tokens(3, 6), np.arange(3), **arguments)
    assert report.updates.tolist() == [3, 0, 3]
    assert report.nonfinite.tolist() == [0, 3, 0]
    assert np.isnan(report.grad_norm[1])
    np.testing.assert_array_equal(report.train_loss_nats[[0, 2]], expected.train_loss_nats[[0, 2]])
    torch.testing.assert_close(stack.values[[0, 2]], sound.values[[0, 2]], rtol=1e-3, atol=1e-6)
    stack.reset(np.array([1]))
    again = stack.update(some_tokens(3, 6)[1:2], np.array([1]), **{k: v[:1] for k, v in arguments.items()})
    assert again.train_loss_nats[0] == expected.train_loss_nats[1]


def test_an_empty_stack_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        LearnerStack(llama(), 0)
