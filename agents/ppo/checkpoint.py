"""PPO between two legs: what of it a checkpoint holds, and how it is put back."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from stable_baselines3 import PPO

from olrl.checkpoint import Checkpoints, cut_back, sync_tree

from .check_state import check_model_state, check_parts

KIND = "olrl train"
_EVENTS = "events.out.tfevents.*"


@dataclass(frozen=True, kw_only=True)
class TrainingCheckpoint:
    """A verified checkpoint of a training run; `progress` is what it was saved with."""

    number: int
    folder: Path
    progress: dict[str, Any]
    model: dict[str, Any]
    events: dict[str, int]


def save_checkpoint(checkpoints: Path, model: PPO, *, progress: dict[str, Any], curves: Path) -> None:
    """Write a new checkpoint, whole or not at all, and keep the one before it; `progress` is JSON-able.

    `curves` is the folder of TensorBoard events, whose sizes are kept too.
    """
    state = {"model": _model_state(model), "progress": progress, "events": _event_sizes(curves)}
    about = {"stage": progress["stage"], "leg": progress["leg"]}
    Checkpoints(checkpoints, kind=KIND).save(state, about=about)


def newest_checkpoint(
    checkpoints: Path, say: Callable[[str], None] = lambda sentence: None
) -> TrainingCheckpoint | None:
    """The newest checkpoint that verifies, None if there is none; ValueError if all are damaged."""
    found = Checkpoints(checkpoints, kind=KIND).newest(say)
    if found is None:
        return None
    check_parts(found.state, found.folder)
    return TrainingCheckpoint(number=found.number, folder=found.folder, **found.state)


def go_back(checkpoints: Path, checkpoint: TrainingCheckpoint | None, *, curves: Path) -> None:
    """Take from a run's folder later checkpoints and the curves written since; all curves where there is none."""
    kept = {} if checkpoint is None else checkpoint.events
    for name in _event_sizes(curves):
        if name not in kept:
            (curves / name).unlink()
    for name, size in kept.items():
        cut_back(curves / name, size)
    if checkpoint is not None:
        Checkpoints(checkpoints, kind=KIND).drop_after(checkpoint.number)


def load_checkpoint(checkpoint: TrainingCheckpoint, model: PPO, *, optimizer: bool) -> None:
    """Put a model of the same shape to where the checkpoint was made.

    Without its optimizer it takes the weights only, as at the beginning of a stage: all counts are 0.
    Raises ValueError in one sentence for weights of another shape.
    """
    state = checkpoint.model
    try:
        check_model_state(state, model)
        model.policy.load_state_dict({name: torch.from_numpy(one) for name, one in state["policy"].items()})
        if optimizer:
            _load_optimizer(model.policy.optimizer, state["optimizer"])
    except (LookupError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
        raise ValueError(
            f"checkpoint {checkpoint.folder} is not of this run ({reason}): train anew"
        ) from error
    model.num_timesteps = state["num_timesteps"] if optimizer else 0
    model._n_updates = state["n_updates"] if optimizer else 0


def _model_state(model: PPO) -> dict[str, Any]:
    moments = model.policy.optimizer.state_dict()["state"]
    return {
        "policy": {name: t.detach().cpu().numpy().copy() for name, t in model.policy.state_dict().items()},
        "optimizer": {
            str(index): {name: torch.as_tensor(value).cpu().numpy().copy() for name, value in one.items()}
            for index, one in moments.items()
        },
        "num_timesteps": model.num_timesteps,
        "n_updates": model._n_updates,
    }


def _load_optimizer(optimizer: torch.optim.Optimizer, moments: dict[str, dict[str, Any]]) -> None:
    state = {
        int(index): {name: torch.from_numpy(value) for name, value in one.items()}
        for index, one in moments.items()
    }
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _event_sizes(curves: Path) -> dict[str, int]:
    """Event files below a folder by relative name, with the sizes they have on the disk when this returns."""
    if not curves.is_dir():
        return {}
    sync_tree(curves)
    return {str(path.relative_to(curves)): path.stat().st_size for path in sorted(curves.rglob(_EVENTS))}
