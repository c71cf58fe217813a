import math
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch

from olrl.adapters.lightning import SteeringCallback
from olrl.adapters.losses import causal_lm_losses
from tests.adapters.readback import (
    BASE,
    CHUNK,
    CONFIG,
    LIGHTNING_WARNINGS,
    ROUNDS,
    SCRIPT,
    UNEVEN,
    Reader,
    Scripted,
    a_model,
    assert_in_force,
    expected,
    rows,
)

pytestmark = LIGHTNING_WARNINGS


class Module(pl.LightningModule):
    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model
        self.poison_step = -1

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        loss = causal_lm_losses(self.model, batch).mean()
        return loss * math.nan if index == self.poison_step else loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.model.parameters(), lr=BASE.lr)


def trained(
    folder: Path, data: Any, *, poison_step: int = -1, **settings: Any
) -> tuple[Reader, Scripted, Module]:
    model, controller = a_model(), Scripted()
    module, reader = Module(model), Reader(model, data[:, :-1])
    module.poison_step = poison_step
    steering = SteeringCallback(
        model,
        torch.from_numpy(data),
        controller=controller,
        steering=CONFIG,
    )

    class Watching(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            reader.watch(trainer.optimizers[0])

    trainer = pl.Trainer(
        **{"max_epochs": 1, "gradient_clip_val": 1.0, **settings},
        callbacks=[steering, Watching()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        default_root_dir=folder,
    )
    trainer.fit(module, steering.train_dataloader())
    return reader, controller, module


def test_a_decision_holds_from_the_first_to_the_last_update_of_its_round(tmp_path: Path) -> None:
    reader, controller, _ = trained(tmp_path, UNEVEN)
    assert len(controller.decisions) == ROUNDS
    assert_in_force(reader.steps, size=len(UNEVEN))
    assert all(signals.train_loss_nats is not None for signals in controller.signals[1:])
    assert all(signals.grad_norm is not None for signals in controller.signals[1:])


def test_what_is_left_of_an_epoch_opens_the_next(tmp_path: Path) -> None:
    data = rows(CHUNK * 4 + 3)
    reader, controller, _ = trained(tmp_path, data, max_epochs=2)
    assert len(controller.decisions) == 9
    assert_in_force(reader.steps, SCRIPT, rounds=9, size=len(data))


def test_max_steps_ends_within_a_round(tmp_path: Path) -> None:
    data = rows(CHUNK * 2)
    reader, _, _ = trained(tmp_path, data, max_epochs=-1, max_steps=10)
    assert reader.steps.batches == expected(SCRIPT, rounds=20, size=len(data)).batches[:10]


def test_a_step_that_is_not_finite_does_not_happen(tmp_path: Path) -> None:
    _, controller, module = trained(tmp_path, rows(CHUNK * 4), poison_step=1)
    assert all(bool(torch.isfinite(p).all()) for p in module.parameters())
    assert controller.signals[1].nonfinite == 1
    assert math.isfinite(controller.signals[1].train_loss_nats or math.nan)


def test_accumulation_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="accumulate_grad_batches must be 1, not 2"):
        trained(tmp_path, rows(CHUNK), accumulate_grad_batches=2)
