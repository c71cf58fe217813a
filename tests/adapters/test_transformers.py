import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import IterableDataset
from transformers import GPT2Config, GPT2LMHeadModel, TrainerCallback, TrainingArguments

from olrl.adapters.transformers import SteeredTrainer
from olrl.control.decision import Decision
from tests.adapters.readback import (
    BASE,
    CHUNK,
    CONFIG,
    COST,
    DATA,
    PEFT_WARNING,
    ROUNDS,
    SCRIPT,
    UNEVEN,
    Reader,
    Scripted,
    a_lora_model,
    a_model,
    assert_in_force,
    assert_same_signals,
    expected,
    rows,
    signals_of_the_core,
)


def arguments(folder: Path, **settings: Any) -> TrainingArguments:
    plain: dict[str, Any] = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 4,
        "num_train_epochs": 1,
        "report_to": [],
        "use_cpu": True,
        "disable_tqdm": True,
        "save_strategy": "no",
        "logging_steps": 1,
        "learning_rate": BASE.lr,
    }
    return TrainingArguments(**{**plain, **settings})


def examples(data: Any) -> list[dict[str, Any]]:
    return [{"input_ids": torch.tensor(row), "labels": torch.tensor(row)} for row in data]


class Watching(TrainerCallback):
    """Hands the optimizer to the reader, and keeps what Trainer logs."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.logged: list[dict[str, Any]] = []
        self.epochs: list[float] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        optimizer = kwargs["optimizer"]
        self.reader.watch(getattr(optimizer, "optimizer", optimizer))

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.logged.append(dict(kwargs["logs"]))

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.epochs.append(state.epoch)


def trained(
    folder: Path,
    data: Any,
    *,
    model: Any = None,
    controller: Any = None,
    dataset: Any = None,
    callbacks: Sequence[TrainerCallback] = (),
    **settings: Any,
) -> tuple[SteeredTrainer, Watching, Scripted]:
    model = model or a_model()
    watching, controller = Watching(Reader(model, data)), controller or Scripted()
    trainer = SteeredTrainer(
        model,
        arguments(folder, **settings),
        train_dataset=examples(data) if dataset is None else dataset,
        controller=controller,
        steering=CONFIG,
        callbacks=[watching, *callbacks],
    )
    trainer.train()
    return trainer, watching, controller


@pytest.mark.parametrize("accumulation", [1, 4])
def test_a_decision_holds_from_the_first_to_the_last_update_of_its_round(
    tmp_path: Path, accumulation: int
) -> None:
    _, watching, controller = trained(tmp_path, UNEVEN, gradient_accumulation_steps=accumulation)
    assert len(controller.decisions) == ROUNDS
    assert_in_force(watching.reader.steps, size=len(UNEVEN))


def test_no_more_sequences_than_the_device_takes_go_through_at_once(tmp_path: Path) -> None:
    _, watching, _ = trained(tmp_path, DATA, per_device_train_batch_size=2)
    assert max(max(sizes) for sizes in watching.reader.steps.passes) == 2
    assert max(len(sizes) for sizes in watching.reader.steps.passes) == 8  # 16 sequences


def test_the_logged_rate_is_the_one_that_was_used(tmp_path: Path) -> None:
    _, watching, _ = trained(tmp_path, DATA, lr_scheduler_type="cosine", warmup_steps=3)
    logged = [row["learning_rate"] for row in watching.logged if "learning_rate" in row]
    assert logged == watching.reader.steps.rates


def test_the_callers_arguments_stay_as_they_are(tmp_path: Path) -> None:
    given = arguments(tmp_path, gradient_accumulation_steps=4)
    SteeredTrainer(a_model(), given, train_dataset=examples(rows(6)), controller=Scripted())
    assert given.gradient_accumulation_steps == 4


@pytest.mark.parametrize("epochs", [2, 1.5])
def test_an_epoch_is_over_when_its_examples_have_arrived(tmp_path: Path, epochs: float) -> None:
    data = rows(CHUNK * 4 + 2)  # what is left of the first epoch begins the second
    _, watching, controller = trained(tmp_path, data, num_train_epochs=epochs)
    assert len(controller.decisions) == math.floor(len(data) * epochs) // CHUNK
    assert_in_force(watching.reader.steps, SCRIPT, rounds=len(controller.decisions), size=len(data))
    assert len(watching.epochs) == 2
    assert watching.epochs[0] == pytest.approx(24 / 26)


def test_max_steps_ends_within_a_round_and_the_data_starts_over(tmp_path: Path) -> None:
    data = rows(CHUNK * 2)
    trainer, watching, controller = trained(tmp_path, data, max_steps=20)
    assert trainer.state.global_step == len(watching.reader.steps.rates) == 20
    assert len(controller.decisions) > 2
    wanted = expected(SCRIPT, rounds=20, size=len(data))
    assert watching.reader.steps.rates == wanted.rates[:20]
    assert watching.reader.steps.batches == wanted.batches[:20]


class Endless(IterableDataset[Any]):
    def __init__(self, data: Any) -> None:
        self.given, self.read = examples(data), 0

    def __iter__(self) -> Any:
        for row in self.given:
            self.read += 1
            yield row


def test_a_stream_is_read_no_further_than_its_round(tmp_path: Path) -> None:
    dataset = Endless(DATA)
    trained(tmp_path, DATA, dataset=dataset, max_steps=1)
    assert dataset.read == CHUNK


def test_a_stream_ends_by_itself(tmp_path: Path) -> None:
    _, watching, _ = trained(tmp_path, DATA, dataset=Endless(DATA), max_steps=1000)
    assert_in_force(watching.reader.steps, size=len(DATA))


def test_a_run_of_skipped_rounds_trains_nothing_and_scores_everything(tmp_path: Path) -> None:
    data = rows(CHUNK * 3)
    never = Scripted([Decision(lr=1e-3, batch_size=3, window=1, update=False)])
    model = a_model()
    before = [p.detach().clone() for p in model.parameters()]
    trainer, _, _ = trained(tmp_path, data, model=model, controller=never)
    assert trainer.state.global_step == 0
    assert len(never.signals) == 3
    assert all(signals.loss_nats is not None for signals in never.signals)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_step_that_is_not_finite_is_not_taken_and_poisons_no_signal(tmp_path: Path) -> None:
    data = rows(CHUNK * 6)
    model = a_model()
    fires = {"left": 1}

    def poison(grad: torch.Tensor) -> torch.Tensor:
        if watching.reader.steps.rates and fires["left"]:
            fires["left"] -= 1
            return grad * math.nan
        return grad

    model.lm_head.weight.register_hook(poison)
    watching, controller = Watching(Reader(model, data)), Scripted()
    trainer = SteeredTrainer(
        model,
        arguments(tmp_path),
        train_dataset=examples(data),
        controller=controller,
        steering=CONFIG,
        callbacks=[watching],
    )
    trainer.train()
    assert not fires["left"]
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())
    assert trainer.optimizer is not None
    moments = trainer.optimizer.state.values()
    assert all(bool(torch.isfinite(state["exp_avg"]).all()) for state in moments)
    assert controller.signals[-1].nonfinite == 1
    for signals in controller.signals:
        measured = [v for v in vars(signals).values() if isinstance(v, float)]
        assert all(math.isfinite(value) for value in measured)


def test_the_training_loss_is_our_own_and_not_the_models(tmp_path: Path) -> None:
    # GPT-2's own is (T - 1) / T too small.
    data = rows(CHUNK * 2)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=256, n_embd=8, n_layer=1, n_head=2, n_positions=16))
    for block in model.modules():
        if isinstance(block, torch.nn.Dropout):
            block.p = 0.0
    model.lm_head.weight.data.zero_()  # tied: every token costs log 256 exactly
    still = Scripted([Decision(lr=1e-12, batch_size=3, window=1)])
    trained(tmp_path, data, model=model, controller=still)
    assert still.signals[0].loss_nats == pytest.approx(math.log(256), rel=1e-6)
    assert still.signals[1].train_loss_nats == pytest.approx(math.log(256), rel=1e-6)


def test_signals_of_trainer_equal_those_of_our_own_learner(tmp_path: Path) -> None:
    # The same rounds by CausalLMLearner: plain SGD, no clipping.
    _, _, controller = trained(tmp_path, DATA, max_grad_norm=0.0, optim="sgd")
    assert_same_signals(controller.signals, signals_of_the_core(DATA))


class Norms(TrainerCallback):
    """The norm of the gradient that each optimizer step really took."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        gradients = [p.grad for p in kwargs["model"].parameters() if p.grad is not None]
        self.taken.append(float(torch.nn.utils.get_total_norm(gradients)))


def test_signals_are_of_gradients_before_they_are_clipped(tmp_path: Path) -> None:
    norms, model = Norms(), a_model()
    model.lm_head.weight.data *= 50  # sure of itself, and wrong: long gradients
    _, watching, controller = trained(
        tmp_path, DATA, model=model, callbacks=[norms], optim="sgd", max_grad_norm=1.0
    )
    logged = [float(row["grad_norm"]) for row in watching.logged if "grad_norm" in row]  # Trainer's own
    assert min(logged) > 1.5
    assert max(norms.taken) <= 1.001
    step, firsts = 0, []
    for decision in controller.decisions[:-1]:  # nobody is shown the signals of the last round
        if decision.update:
            firsts.append(logged[step])
            step += COST.updates(decision.batch_size)
    shown = [s.grad_norm for s in controller.signals if s.gradient_age == 0]
    assert shown == pytest.approx(firsts, rel=1e-3)


@PEFT_WARNING
def test_adapters_beside_a_frozen_model_are_what_is_trained_and_measured(tmp_path: Path) -> None:
    model = a_lora_model()
    frozen = [p.detach().clone() for p in model.parameters() if not p.requires_grad]
    _, watching, controller = trained(tmp_path, DATA, model=model, max_grad_norm=0.0, optim="sgd")
    assert_in_force(watching.reader.steps, size=len(DATA))
    assert_same_signals(controller.signals, signals_of_the_core(DATA, model=a_lora_model()))
    left = [p for p in model.parameters() if not p.requires_grad]
    assert all(torch.equal(a, b) for a, b in zip(frozen, left, strict=True))


def test_half_precision_changes_rounding_and_nothing_else(tmp_path: Path) -> None:
    model = a_model()
    _, watching, controller = trained(tmp_path, DATA, model=model, max_grad_norm=0.0, optim="sgd", bf16=True)
    assert_in_force(watching.reader.steps, size=len(DATA))
    wanted = signals_of_the_core(DATA)
    assert controller.signals[0].loss_nats != wanted[0].loss_nats  # it was used
    noisy = ("loss_std", "old_new_gap", "grad_snr", "grad_cos")  # small differences of what was rounded
    assert_same_signals(controller.signals, wanted, rel=0.05, but=noisy)
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_resuming_is_refused_with_the_reason(tmp_path: Path) -> None:
    trainer = SteeredTrainer(
        a_model(), arguments(tmp_path), train_dataset=examples(rows(6)), controller=Scripted()
    )
    with pytest.raises(ValueError, match="cannot resume from a checkpoint"):
        trainer.train(resume_from_checkpoint=True)
