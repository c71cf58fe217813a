"""The loader of training checkpoints: a sentence, or weights of this model that are finite."""

import hashlib
import json
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load, save
from stable_baselines3 import PPO

from fuzzing.damage import damaged_bytes, damaged_json, dump, replaced_by_something_else
from fuzzing.policies import with_header
from fuzzing.target import Broken, Target, sentence
from olrl.agents.ppo.checkpoint import load_checkpoint, newest_checkpoint, save_checkpoint
from olrl.agents.ppo.environments import build_environments
from olrl.agents.ppo.progress import Best, Progress, StageResult
from olrl.agents.ppo.recipe import StageConfig, recipe
from olrl.agents.ppo.train import _build, frozen
from olrl.agents.ppo.validation import Validation

PROFILE = "quick"
FILES = ("arrays.safetensors", "state.json", "manifest.json")


@cache
def _model() -> PPO:
    """A model after a step of its optimizer."""
    stage = StageConfig(name="fuzz", kind="surrogate", steps=1, n_envs=1)
    env = build_environments(stage, recipe(PROFILE))
    model = _build(recipe(PROFILE), stage, env, weights_of=None)
    env.close()
    model.policy.optimizer.zero_grad()
    for parameter in model.policy.parameters():
        parameter.grad = torch.ones_like(parameter)
    model.policy.optimizer.step()
    return model


def trained_model() -> tuple[PPO, Progress]:
    """A model after a step of its optimizer, and a progress that fits: one leg, which was the best so far."""
    validation = Validation(model="nano", fixed_bpb=2.5, policy_bpb={"1": 2.4})
    progress = Progress(
        stage=0,
        leg=1,
        untrained=validation,
        latest=validation,
        results=[StageResult(name="fuzz", steps=1, updates=1, seconds=1.0, after=validation)],
        best=Best(stage="fuzz", leg=1, validation=validation),
    )
    return _model(), progress


@cache
def _whole() -> tuple[PPO, Path]:
    """The model, and a folder with a checkpoint of it."""
    model, progress = trained_model()
    folder = Path(tempfile.mkdtemp()) / "checkpoints"
    folder.mkdir()
    save_checkpoint(folder, model, progress=progress.to_dict(), curves=folder / "none")
    return model, folder


def _case(rng: np.random.Generator, folder: Path) -> str:
    model, whole = _whole()
    checkpoints = folder / "checkpoints"
    shutil.copytree(whole, checkpoints)
    return _asked(model, checkpoints, tampered(rng, checkpoints / "00000000"))


def tampered(rng: np.random.Generator, checkpoint: Path) -> str:
    """Damage a checkpoint, with the manifest made to fit or not; how, in a word or two."""
    arrays, state, manifest = (checkpoint / name for name in FILES)
    ways = ("manifest", "state", "signed state", "signed state", "arrays", "signed header", "signed values")
    how = str(rng.choice([*ways, "file", "folder", "beside"]))
    match how:
        case "manifest":
            manifest.write_bytes(damaged_json(rng, json.loads(manifest.read_bytes())))
        case "state" | "signed state":
            state.write_bytes(damaged_json(rng, json.loads(state.read_bytes())))
        case "arrays":
            arrays.write_bytes(damaged_bytes(rng, arrays.read_bytes()))
        case "signed header":
            arrays.write_bytes(with_header(rng, arrays.read_bytes()))
        case "signed values":
            arrays.write_bytes(_other_values(rng, arrays.read_bytes()))
        case "file":
            replaced_by_something_else(rng, [arrays, state, manifest][rng.integers(3)])
        case "folder":
            replaced_by_something_else(rng, checkpoint)
        case _:
            (checkpoint.parent / "99999999 is no number").mkdir()
    if how.startswith("signed"):
        _sign(checkpoint)
    return how


def _sign(checkpoint: Path) -> None:
    """Make the manifest fit, as one would who means it."""
    manifest = json.loads((checkpoint / "manifest.json").read_bytes())
    for name in manifest["files"]:
        data = (checkpoint / name).read_bytes()
        manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (checkpoint / "manifest.json").write_bytes(dump(manifest))


def _other_values(rng: np.random.Generator, data: bytes) -> bytes:
    tensors = load(data)
    name = list(tensors)[rng.integers(len(tensors))]
    match rng.integers(6):
        case 0:
            other = float(rng.choice([np.nan, np.inf, 1e38, -1.0]))
            whole = not tensors[name].is_floating_point()
            tensors[name] = torch.full_like(tensors[name], (1 << 30) if whole else other)
        case 1:
            tensors[name] = tensors[name].to(torch.float64)
        case 2:
            tensors[name] = torch.zeros(3, 5)
        case 3:
            del tensors[name]
        case 4:
            tensors[f"/model/optimizer/{rng.choice(['x', '999', '-1', '0/0'])}/exp_avg"] = torch.zeros(2)
        case _:
            tensors["/model/policy/extra"] = torch.zeros(2)
    return save(tensors)


def _asked(model: PPO, checkpoints: Path, how: str) -> str:
    try:
        checkpoint = newest_checkpoint(checkpoints)
        if checkpoint is None:
            return f"{how}: none there"
        progress = Progress.from_dict(checkpoint.progress)
        load_checkpoint(checkpoint, model, optimizer=bool(progress.leg))
        policy = frozen(recipe(PROFILE), model, progress, seed=0)
    except ValueError as error:
        sentence(error)
        if list(checkpoints.rglob("touched")) or (checkpoints.parent / "touched").exists():
            raise Broken("a pickle was run") from error
        return f"{how}: refused"
    policy.description()
    return f"{how}: loads"


TARGETS = (Target(name="checkpoint", case=_case, memory_bytes=1 << 30, prepare=_whole),)
