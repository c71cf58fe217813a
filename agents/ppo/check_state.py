"""Whether what a training checkpoint holds is what was saved: it may come from somebody else, or be damaged."""

from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3 import PPO

LARGEST = 1e6  # of a weight or a moment; counts of steps are below it too
_COUNTS = ("num_timesteps", "n_updates")


def check_parts(state: Any, folder: Path) -> None:
    """Raises ValueError unless a checkpoint has the parts of a training run, each of its kind."""
    if not isinstance(state, dict) or set(state) != {"model", "progress", "events"}:
        raise ValueError(f"checkpoint {folder} is of no training run: remove it, or train anew")
    events = state["events"]
    if not all(isinstance(part, dict) for part in state.values()) or not all(
        _is_plain(name) and _is_count(size) for name, size in events.items()
    ):
        raise ValueError(f"checkpoint {folder} is damaged: remove it, or train anew")


def check_model_state(state: dict[str, Any], model: PPO) -> None:
    """Raises ValueError unless all arrays are ones that this model would save, and finite.

    Moments may be missing, as before the first step.
    """
    if set(state) != {"policy", "optimizer", *_COUNTS} or not all(_is_count(state[name]) for name in _COUNTS):
        raise ValueError("its parts are not those of a model")
    shapes = {name: tuple(t.shape) for name, t in model.policy.state_dict().items()}
    _check_arrays(state["policy"], shapes, "weights")
    parameters = [p for group in model.policy.optimizer.param_groups for p in group["params"]]
    if set(state["optimizer"]) not in (set(), {str(k) for k in range(len(parameters))}):
        raise ValueError("its optimizer is of another model")
    for index, moments in state["optimizer"].items():
        shape = tuple(parameters[int(index)].shape)
        _check_arrays(moments, {"step": (), "exp_avg": shape, "exp_avg_sq": shape}, f"moments {index}")
        if any((moments[name] < 0).any() for name in ("step", "exp_avg_sq")):
            raise ValueError(f"moments {index} are below 0")


def _check_arrays(arrays: dict[str, Any], shapes: dict[str, tuple[int, ...]], what: str) -> None:
    if set(arrays) != set(shapes):
        raise ValueError(f"its {what} are of another model")
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype != np.float32 or array.shape != shapes[name]:
            raise ValueError(f"its {what} {name!r} must be float32 of shape {shapes[name]}")
        if not (np.abs(array) <= LARGEST).all():
            raise ValueError(f"its {what} {name!r} are not finite, or larger than {LARGEST:g}")


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 53


def _is_plain(name: str) -> bool:
    """Whether a name of a file leads nowhere but below the folder it belongs to."""
    return not name.startswith("/") and ".." not in name.split("/") and "\0" not in name
