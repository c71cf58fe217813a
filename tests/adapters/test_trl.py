import math
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from trl.trainer.sft_config import SFTConfig

from olrl.adapters.trl import SteeredSFTTrainer
from olrl.models.byte_level import build_tokenizer
from tests.adapters.readback import (
    CONFIG,
    DATA,
    PEFT_WARNING,
    TRL_WARNINGS,
    UNEVEN,
    Reader,
    Scripted,
    a_model,
    assert_in_force,
    assert_same_signals,
    signals_of_the_core,
)
from tests.adapters.test_transformers import Watching

pytestmark = TRL_WARNINGS


def trained(
    folder: Path, data: Any, *, model: Any = None, peft_config: Any = None, **settings: Any
) -> tuple[Watching, Scripted]:
    model, controller = model or a_model(), Scripted()
    watching = Watching(Reader(model, data))
    plain: dict[str, Any] = {"per_device_train_batch_size": 4, "num_train_epochs": 1, "logging_steps": 1}
    tokenizer = build_tokenizer()
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(0)
    trainer = SteeredSFTTrainer(
        model,
        SFTConfig(
            output_dir=str(folder),
            report_to=[],
            use_cpu=True,
            bf16=False,
            disable_tqdm=True,
            save_strategy="no",
            gradient_checkpointing=False,
            max_length=None,
            **{**plain, **settings},
        ),
        train_dataset=Dataset.from_dict({"input_ids": data.tolist()}),
        processing_class=tokenizer,
        controller=controller,
        steering=CONFIG,
        callbacks=[watching],
        peft_config=peft_config,
    )
    trainer.train()
    return watching, controller


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_decision_holds_from_the_first_to_the_last_update_of_its_round(
    tmp_path: Path, accumulation: int
) -> None:
    watching, _ = trained(tmp_path, UNEVEN, gradient_accumulation_steps=accumulation)
    assert_in_force(watching.reader.steps, size=len(UNEVEN))
    logged = [row["learning_rate"] for row in watching.logged if "learning_rate" in row]
    assert logged == watching.reader.steps.rates


@PEFT_WARNING
def test_adapters_that_the_trainer_adds_are_what_is_trained(tmp_path: Path) -> None:
    model = a_model()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    adapters = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    watching, controller = trained(tmp_path, DATA, model=model, peft_config=adapters)
    assert_in_force(watching.reader.steps, size=len(DATA))
    after = {name.replace(".base_layer", ""): p for name, p in model.named_parameters() if "lora" not in name}
    assert all(torch.equal(before[name], p) for name, p in after.items())
    assert any(bool(p.any()) for name, p in model.named_parameters() if "lora_B" in name)
    assert all(signals.grad_norm is not None for signals in controller.signals[1:])


def test_signals_equal_those_of_our_own_learner(tmp_path: Path) -> None:
    _, controller = trained(tmp_path, DATA, max_grad_norm=0.0, optim="sgd")
    assert_same_signals(controller.signals, signals_of_the_core(DATA))
    assert all(math.isfinite(signals.loss_nats or math.nan) for signals in controller.signals)
