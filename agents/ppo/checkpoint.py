"""PPO's weights and optimizer between two legs, as safetensors and JSON: nothing is ever unpickled."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from stable_baselines3 import PPO

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint folder that reads well; `progress` is what it was saved with."""

    folder: Path
    num_timesteps: int
    n_updates: int
    progress: dict[str, Any]


def save_checkpoint(checkpoints: Path, model: PPO, *, progress: dict[str, Any]) -> None:
    """Write a new checkpoint, whole or not at all, and keep the one before it; `progress` is JSON-able."""
    earlier = sorted(checkpoints.glob("[0-9]*"))
    number = int(earlier[-1].name) + 1 if earlier else 0
    scratch = checkpoints / f".{number:05d}.{os.getpid()}"
    scratch.mkdir(parents=True)
    save_file(_tensors(model), scratch / "ppo.safetensors")
    record = {
        "format": FORMAT,
        "num_timesteps": model.num_timesteps,
        "n_updates": model._n_updates,
        "progress": progress,
    }
    (scratch / "progress.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    scratch.rename(checkpoints / f"{number:05d}")
    for old in earlier[:-1]:
        shutil.rmtree(old)


def newest_checkpoint(checkpoints: Path) -> Checkpoint | None:
    """The newest checkpoint of a run, `None` if there is none; ValueError if it cannot be read."""
    folders = sorted(checkpoints.glob("[0-9]*"))
    if not folders:
        return None
    folder = folders[-1]
    try:
        record = json.loads((folder / "progress.json").read_text(encoding="utf-8"))
        if record.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        return Checkpoint(folder=folder, **record)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"cannot read checkpoint {folder} ({error}): remove it, or train anew") from error


def load_checkpoint(checkpoint: Checkpoint, model: PPO, *, optimizer: bool) -> None:
    """Put a model of the same shape to where the checkpoint was made.

    Without its optimizer it takes the weights only, as at the beginning of a stage: all counts are 0.
    Raises ValueError in one sentence for weights of another shape.
    """
    try:
        tensors = load_file(checkpoint.folder / "ppo.safetensors")
        prefix = "policy/"
        model.policy.load_state_dict(
            {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
        )
        if optimizer:
            _load_optimizer(model.policy.optimizer, tensors)
    except (OSError, KeyError, RuntimeError, ValueError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"checkpoint {checkpoint.folder} is not of this run ({reason}): train anew"
        ) from error
    model.num_timesteps = checkpoint.num_timesteps if optimizer else 0
    model._n_updates = checkpoint.n_updates if optimizer else 0


def _tensors(model: PPO) -> dict[str, torch.Tensor]:
    tensors = {f"policy/{name}": t.detach().clone() for name, t in model.policy.state_dict().items()}
    for index, moments in model.policy.optimizer.state_dict()["state"].items():
        for name, value in moments.items():
            tensors[f"optimizer/{index}/{name}"] = torch.as_tensor(value).clone()
    return tensors


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer/"):
            _, index, moment = name.split("/")
            state.setdefault(int(index), {})[moment] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
