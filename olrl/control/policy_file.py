"""The policy file: a folder of policy.json, policy.safetensors and CARD.md, read without running any of it.

`policy.json` holds `format` (a number), `features` (the spec the policy was trained on), `quantiles` (of each
feature in training), `normalisation`, `actions` (the coding), `network`, `weights` (their sha256), `versions`
and `training` (where it comes from). It may hold `range`, versioned by itself: what the features were in training
before clipping, for the guard; files from before there was one are read as they are. Names inside the folder are
fixed; no path is ever read from a file.
"""

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

FORMAT = 1
POLICY_JSON, WEIGHTS, CARD = "policy.json", "policy.safetensors", "CARD.md"
_KEYS = {
    *("format", "features", "quantiles", "normalisation", "actions", "network"),
    *("weights", "versions", "training"),
}
_OPTIONAL = {"range"}
_LARGEST = {POLICY_JSON: 4 << 20, WEIGHTS: 64 << 20, CARD: 1 << 20}  # bytes
_ZIP = b"PK\x03\x04"
_DEEPEST = 32  # levels of nesting; ours has six


def read(folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]], str]:
    """Description, weights and card of a policy folder.

    Raises ValueError, in one sentence, for anything that is not a whole policy folder of this format: a
    missing or oversized file, a key too many or too few, weights that do not match their sha256 or are not
    finite.
    """
    _check_folder(folder)
    description = _parse(_read_bytes(folder, POLICY_JSON), folder / POLICY_JSON)
    data = _read_bytes(folder, WEIGHTS)
    promised, found = description["weights"], hashlib.sha256(data).hexdigest()
    if promised != {"sha256": found}:
        raise ValueError(f"{folder / WEIGHTS} is damaged: its sha256 is {found}, policy.json says {promised}")
    card = _read_bytes(folder, CARD).decode("utf-8", errors="replace") if (folder / CARD).exists() else ""
    return description, _arrays(data, folder / WEIGHTS), card


def _check_folder(folder: Path) -> None:
    if folder.is_file():
        with folder.open("rb") as file:
            kind = "a zip (as stable-baselines3 saves)" if file.read(4) == _ZIP else "a file"
        raise ValueError(
            f"{folder} is {kind}; expected a policy folder: export a training run with `olrl export RUN_DIR`"
        )
    if not folder.is_dir():
        raise ValueError(  # also what is neither file nor folder: a pipe would be waited for
            f"there is no policy at {folder}: give 'default' or a folder that `olrl export` wrote"
        )


def _read_bytes(folder: Path, name: str) -> bytes:
    path = folder / name
    if not path.is_file():
        raise ValueError(f"{folder} is no policy folder: it has no {name}")
    with path.open("rb") as file:
        data = file.read(_LARGEST[name] + 1)
    if len(data) > _LARGEST[name]:
        raise ValueError(f"{path} is larger than the {_LARGEST[name] >> 20} MiB that a policy may have")
    return data


def _parse(data: bytes, path: Path) -> dict[str, Any]:
    try:
        description = json.loads(
            data.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_distinct
        )
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(description, dict):
        raise ValueError(f"{path} must hold an object, not {type(description).__name__}")
    _check_depth(description, path)
    given = description.get("format")
    if type(given) is not int or given != FORMAT:
        raise ValueError(f"{path} has the unknown format {given!r}; this olrl reads format {FORMAT}")
    for name in sorted(_KEYS ^ (set(description) - _OPTIONAL)):
        raise ValueError(f"{path} {'lacks the' if name in _KEYS else 'has an unknown'} key {name!r}")
    return description


def _check_depth(description: dict[str, Any], path: Path) -> None:
    """What is only just parsed could not be written again, nor hashed."""
    level: list[Any] = [description]
    for _ in range(_DEEPEST):
        level = [child for each in level for child in (each.values() if isinstance(each, dict) else each)]
        level = [child for child in level if isinstance(child, dict | list)]
    if level:
        raise ValueError(f"{path} is nested deeper than {_DEEPEST} levels")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ValueError("a key is given twice")
    return mapping


def _arrays(data: bytes, path: Path) -> dict[str, NDArray[np.float32]]:
    try:
        arrays = safetensors.numpy.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from error
    for name, array in arrays.items():
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise ValueError(f"{path}: {name!r} must be finite float32 numbers, not {array.dtype}")
    return arrays


def write(
    folder: Path, description: dict[str, Any], weights: dict[str, NDArray[np.float32]], card: str
) -> None:
    """Write a policy folder as a whole: it is there complete, or as it was before.

    `description` lacks `format` and `weights`, which are filled in. A policy folder that is already there is
    replaced; ValueError if what is there is something else.
    """
    _check_replaceable(folder)
    data = safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in weights.items()})
    full = {"format": FORMAT, **description, "weights": {"sha256": hashlib.sha256(data).hexdigest()}}
    text = json.dumps(full, indent=1, allow_nan=False, ensure_ascii=False)
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, content in ((WEIGHTS, data), (CARD, card.encode()), (POLICY_JSON, text.encode())):
            _write_bytes(fresh / name, content)
        fresh.chmod(0o755)
        _swap(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _check_replaceable(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir() or {entry.name for entry in folder.iterdir()} - set(_LARGEST):
        raise ValueError(f"{folder} is in the way: it holds something else than a policy")


def _write_bytes(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _swap(fresh: Path, folder: Path) -> None:
    """Put a folder in the place of another, which steps aside: none can be renamed onto a full one."""
    if folder.exists():
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
        folder.rename(aside / folder.name)
        fresh.rename(folder)
        shutil.rmtree(aside)
    else:
        fresh.rename(folder)
    parent = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
