"""PPO's weights and optimizer between two legs, as safetensors and JSON: nothing is ever unpickled."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from stable_baselines3 import PPO

FORMAT = 1
TENSORS, RECORD = "ppo.safetensors", "progress.json"
MAX_TENSOR_BYTES, MAX_RECORD_BYTES = 256 << 20, 16 << 20  # a hundred times what the largest recipe writes
LARGEST = 1e6  # of a weight or a moment; counts of steps are below it too


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint folder that reads well; `progress` is what it was saved with."""

    folder: Path
    num_timesteps: int
    n_updates: int
    progress: dict[str, Any]


def save_checkpoint(checkpoints: Path, model: PPO, *, progress: dict[str, Any]) -> None:
    """Write a new checkpoint, whole or not at all, and keep the one before it; `progress` is JSON-able."""
    earlier = _numbered(checkpoints)
    number = int(earlier[-1].name) + 1 if earlier else 0
    scratch = checkpoints / f".{number:05d}.{os.getpid()}"
    scratch.mkdir(parents=True)
    save_file(_tensors(model), scratch / TENSORS)
    record = {
        "format": FORMAT,
        "num_timesteps": model.num_timesteps,
        "n_updates": model._n_updates,
        "progress": progress,
    }
    (scratch / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    scratch.rename(checkpoints / f"{number:05d}")
    for old in earlier[:-1]:
        shutil.rmtree(old)


def newest_checkpoint(checkpoints: Path) -> Checkpoint | None:
    """The newest checkpoint of a run, `None` if there is none; ValueError if it cannot be read.

    Checks all that it does not leave to `load_checkpoint` (the tensors) and `Progress.from_dict`.
    """
    folders = _numbered(checkpoints)
    if not folders:
        return None
    folder = folders[-1]
    try:
        record = _read_record(folder / RECORD)
        return Checkpoint(folder=folder, **record)
    except (OSError, ValueError, RecursionError, TypeError) as error:
        raise ValueError(
            f"cannot read checkpoint {folder} ({_short(error)}): remove it, or train anew"
        ) from error


def _numbered(checkpoints: Path) -> list[Path]:
    """Checkpoints by number; what else lies there is left alone."""
    there = [path for path in checkpoints.glob("[0-9]*") if path.name.isascii() and path.name.isdigit()]
    return sorted(there, key=lambda path: (int(path.name[:18]), path.name))


def _read_record(path: Path) -> dict[str, Any]:
    record = json.loads(_read_bytes(path, MAX_RECORD_BYTES).decode("utf-8"), parse_constant=_refuse)
    if not isinstance(record, dict) or record.pop("format", None) != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    wanted = {"num_timesteps", "n_updates", "progress"}
    if set(record) != wanted:
        raise ValueError(f"{path.name} must hold {', '.join(sorted(wanted))}")
    for name in ("num_timesteps", "n_updates"):
        if type(record[name]) is not int or not 0 <= record[name] < 1 << 53:
            raise ValueError(f"{name} is no count")
    if not isinstance(record["progress"], dict):
        raise ValueError("progress is no object")
    return record


def _read_bytes(path: Path, most: int) -> bytes:
    if not path.is_file():  # a pipe would be waited for, and a device has no end
        raise ValueError(f"there is no file {path.name}")
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"{path.name} is larger than {most >> 20} MiB")
    return data


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _short(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:300]


def load_checkpoint(checkpoint: Checkpoint, model: PPO, *, optimizer: bool) -> None:
    """Put a model of the same shape to where the checkpoint was made.

    Without its optimizer it takes the weights only, as at the beginning of a stage: all counts are 0.
    Raises ValueError in one sentence for weights of another shape.
    """
    try:
        tensors = load(_read_bytes(checkpoint.folder / TENSORS, MAX_TENSOR_BYTES))
        _check_tensors(tensors, model)
        prefix = "policy/"
        model.policy.load_state_dict(
            {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
        )
        if optimizer:
            _load_optimizer(model.policy.optimizer, tensors)
    except (OSError, LookupError, RuntimeError, ValueError, TypeError, SafetensorError) as error:
        raise ValueError(
            f"checkpoint {checkpoint.folder} is not of this run ({_short(error)}): train anew"
        ) from error
    model.num_timesteps = checkpoint.num_timesteps if optimizer else 0
    model._n_updates = checkpoint.n_updates if optimizer else 0


def _tensors(model: PPO) -> dict[str, torch.Tensor]:
    tensors = {f"policy/{name}": t.detach().clone() for name, t in model.policy.state_dict().items()}
    for index, moments in model.policy.optimizer.state_dict()["state"].items():
        for name, value in moments.items():
            tensors[f"optimizer/{index}/{name}"] = torch.as_tensor(value).clone()
    return tensors


def _check_tensors(tensors: dict[str, torch.Tensor], model: PPO) -> None:
    """Every tensor is one that this model would save, finite; moments may be missing, as before the first step."""
    parameters = [p for group in model.policy.optimizer.param_groups for p in group["params"]]
    shapes = {f"policy/{name}": t.shape for name, t in model.policy.state_dict().items()}
    for index, parameter in enumerate(parameters):
        shapes |= {f"optimizer/{index}/{name}": parameter.shape for name in ("exp_avg", "exp_avg_sq")}
        shapes[f"optimizer/{index}/step"] = torch.Size([])
    for name, tensor in tensors.items():
        if name not in shapes:
            raise ValueError(f"it holds {name!r}, which this model has not")
        if tensor.shape != shapes[name] or tensor.dtype != torch.float32:
            raise ValueError(f"{name!r} is {tensor.dtype} of shape {tuple(tensor.shape)}")
        if not bool((tensor.abs() <= LARGEST).all()):
            raise ValueError(f"{name!r} holds numbers that are not finite, or larger than {LARGEST:g}")
        if name.startswith("optimizer/") and not name.endswith("exp_avg") and bool((tensor < 0).any()):
            raise ValueError(f"{name!r} holds numbers below 0")
    moments = [name for name in tensors if name.startswith("optimizer/")]
    if moments and len(moments) != 3 * len(parameters):
        raise ValueError("it holds some of the optimizer's moments only")


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer/"):
            _, index, moment = name.split("/")
            state.setdefault(int(index), {})[moment] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
