import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import GPT2Config, GPT2LMHeadModel

from olrl.control.decision import Decision
from olrl.learners.causal_lm import CausalLMLearner
from olrl.models.load import LoadedModel, load_model
from olrl.models.lora import Lora, add_adapters, merged_weights
from olrl.run import run
from tests.deployed import quick, write_stream

STEP = Decision(lr=1e-2, batch_size=4, window=1, update=True)
TRAINED = 2 * 4 * (4 * (64 + 64) + 3 * (64 + 192))  # layers · r · inputs and outputs of each linear layer


def sequences(seed: int = 0) -> NDArray[np.int32]:
    """Text that a byte-level model can learn: letters in order."""
    starts = np.random.default_rng(seed).integers(0, 26, size=(4, 1))
    return (97 + (starts + np.arange(33)) % 26).astype(np.int32)


@pytest.fixture
def loaded() -> LoadedModel:
    return load_model("nano", lora="r=4")


def trained(loaded: LoadedModel, *, rounds: int = 5) -> CausalLMLearner:
    learner = CausalLMLearner(loaded.model)
    for k in range(rounds):
        learner.update(iter([sequences(2 * k), sequences(2 * k + 1)]), STEP)
    return learner


def test_adapters_change_nothing_before_the_first_step(loaded: LoadedModel) -> None:
    plain, adapted = (CausalLMLearner(model) for model in (load_model("nano").model, loaded.model))
    np.testing.assert_allclose(adapted.score(sequences()), plain.score(sequences()), rtol=1e-5)


def test_frozen_weights_stay_to_the_bit_while_the_loss_falls(loaded: LoadedModel) -> None:
    before = {name: p.clone() for name, p in loaded.model.named_parameters() if not p.requires_grad}
    first = CausalLMLearner(loaded.model).score(sequences()).mean()
    last = trained(loaded).score(sequences()).mean()
    after = dict(loaded.model.named_parameters())
    assert last < 0.8 * first
    assert len(before) == len(load_model("nano").model.state_dict()) - 1  # the head is tied to the embedding
    assert all(torch.equal(weights, after[name]) for name, weights in before.items())


def test_signals_of_training_are_measured(loaded: LoadedModel) -> None:
    learner = trained(loaded)
    report = learner.update(iter([sequences(20), sequences(21)]), STEP)
    assert None not in (report.grad_norm, report.grad_snr, report.grad_cos, report.update_ratio)


def test_a_learners_state_holds_adapters_only_and_continues_to_the_same_losses(loaded: LoadedModel) -> None:
    learner = trained(loaded)
    state = learner.state_dict()
    assert {array.size for array in state.values()} == {TRAINED, 1}
    other = CausalLMLearner(load_model("nano", lora="r=4").model)
    other.load_state_dict(state)
    for each in (learner, other):
        each.update(iter([sequences(30)]), STEP)
    assert learner.score(sequences()).tolist() == other.score(sequences()).tolist()


def test_what_is_saved_is_merged_and_needs_no_peft(
    loaded: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = trained(loaded)
    scores = learner.score(sequences())
    loaded.save(tmp_path / "model")
    monkeypatch.setitem(sys.modules, "peft", None)
    again = load_model(str(tmp_path / "model"))
    assert again.lora is None
    names = load_model("nano").model.state_dict().keys()
    assert again.model.state_dict().keys() == names
    np.testing.assert_allclose(CausalLMLearner(again.model).score(sequences()), scores, atol=1e-5)
    assert learner.score(sequences()).tolist() == scores.tolist()  # saving in mid-run disturbs nothing


def test_transposed_layers_are_merged_the_right_way_round() -> None:
    config = GPT2Config(vocab_size=256, n_positions=64, n_embd=24, n_layer=1, n_head=2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, plain = GPT2LMHeadModel(config), GPT2LMHeadModel(config)
    add_adapters(model, Lora(r=2))
    learner = CausalLMLearner(model)
    learner.update(iter([sequences()]), STEP)
    plain.load_state_dict(merged_weights(model))
    np.testing.assert_allclose(
        CausalLMLearner(plain).score(sequences()), learner.score(sequences()), atol=1e-5
    )


def test_adapters_leave_the_callers_generator_alone_and_begin_alike() -> None:
    before = torch.get_rng_state()
    first, second = (load_model("nano", lora="r=2").model.state_dict() for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_adapters_of_a_model_in_bfloat16_learn_in_float32() -> None:
    model = load_model("nano", lora="r=2", dtype="bfloat16").model
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    assert {p.dtype for p in model.parameters() if not p.requires_grad} == {torch.bfloat16}


def test_what_adapters_learned_beside_bfloat16_is_not_rounded_away_when_merged() -> None:
    loaded = load_model("pico", lora="r=2", dtype="bfloat16")
    before = load_model("pico", dtype="bfloat16").model.state_dict()
    CausalLMLearner(loaded.model).update(iter([sequences()]), replace(STEP, lr=1e-4))
    merged = merged_weights(loaded.model)
    name = "model.layers.0.mlp.up_proj"
    layer: Any = loaded.model.get_submodule(name)
    learned = layer.get_delta_weight("default").detach()
    assert 0 < float(learned.abs().max()) < float(before[f"{name}.weight"].abs().max()) / 1000
    moved = merged[f"{name}.weight"] - before[f"{name}.weight"].float()
    torch.testing.assert_close(moved, learned, rtol=0, atol=1e-7)


def test_all_settings_are_read() -> None:
    assert Lora.parse("r=8") == Lora(r=8, alpha=16.0, targets=("all-linear",))
    assert Lora.parse(" r = 4 , alpha=4, targets=q_proj+v_proj") == Lora(
        r=4, alpha=4, targets=("q_proj", "v_proj")
    )


@pytest.mark.parametrize(
    ("text", "message"),
    {
        "8": "does not know '8'",
        "alpha=16": "needs its rank r",
        "r=0": "at least 1, not 0",
        "r=four": "r of lora is a number, not 'four'",
        "r=4,r=8": "names r twice",
        "r=4,alpha=nan": "alpha of lora must be",
        "r=4,targets=": "at least one layer",
    }.items(),
)
def test_a_wrong_setting_is_refused_in_one_sentence(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quick("-", lora=text)


@pytest.mark.parametrize("model", ["nano", "femto"])
def test_a_model_without_such_layers_is_refused_in_one_sentence(model: str) -> None:
    with pytest.raises(ValueError, match="has no linear layers") as caught:
        load_model(model, lora="r=4,targets=nowhere")
    assert "\n" not in str(caught.value)


def test_without_peft_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ValueError, match=r"pip install 'olrl\[lora\]'"):
        load_model("nano", lora="r=4")


def test_a_base_that_was_tuned_for_all_weights_is_not_used_for_adapters(loaded: LoadedModel) -> None:
    assert (loaded.base, loaded.fixed, loaded.seq_len) == (None, None, 64)
    with pytest.raises(ValueError, match="no base configuration is known for adapters: give --base-lr"):
        quick("-", lora="r=4", base_lr=None).base(loaded.base, model="nano")


def test_a_run_trains_adapters_and_saves_a_model_that_learned(tmp_path: Path) -> None:
    stream = write_stream(tmp_path / "mail.jsonl", count=30)
    result = run(quick(stream, budget=24.0, lora="r=4", base_lr=1e-2, out=tmp_path / "run"))
    assert result.model_saved
    assert result.summary.last_bpb < result.summary.first_bpb
    saved = load_model(str(tmp_path / "run" / "model"))
    assert saved.model.num_parameters() == load_model("nano").model.num_parameters()
