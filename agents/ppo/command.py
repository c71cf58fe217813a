"""`olrl train` and `olrl export`: the run folder around a training run."""

from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from olrl.run_folder import RunFolder

from ..bars import Bars
from .checkpoint import newest_checkpoint
from .export import PACKAGES
from .progress import Progress
from .recipe import recipe as recipe_of
from .report import write_report
from .train import policy_of_checkpoint, train


def train_and_tell(profile: str, *, seed: int, out: Path, resume: bool, bars: Bars) -> Progress:
    """Train into a new folder, or go on in one; write the report and say where things are."""
    recipe = recipe_of(profile)
    settings: dict[str, Any] = {
        "command": "train",
        "profile": profile,
        "seed": seed,
        "recipe": asdict(recipe),
        "versions": {name: version(name) for name in PACKAGES},
    }
    if resume:
        given = RunFolder.open(out).read_config()
        for name in ("profile", "seed"):
            if given.get(name) != settings[name]:
                raise ValueError(
                    f"--resume with {name} {settings[name]!r}, but the run in {out} has {given.get(name)!r}"
                )
    else:
        RunFolder.create(out).write_config(settings)
    bars.say(
        f"Training profile {profile} ({recipe.minutes} on two cores) into {out}; Ctrl-C and --resume go on later"
    )
    progress = train(recipe, seed=seed, out=out, resume=resume, report=bars)
    write_report(out / "report.md", recipe, progress, seed=seed)
    bars.say(f"Policy in {out / 'policy'}, report in {out / 'report.md'}; curves: tensorboard --logdir {out}")
    return progress


def export_checkpoint(run: Path, out: Path) -> Path:
    """The policy of a run's newest checkpoint, written to `out`."""
    config = RunFolder.open(run).read_config()
    if config.get("command") != "train":
        raise ValueError(f"{run} is not the folder of an olrl train run")
    checkpoint = newest_checkpoint(run / "checkpoints")
    if checkpoint is None:
        raise ValueError(f"{run} holds no checkpoint yet: let olrl train run to the end of its first leg")
    policy_of_checkpoint(recipe_of(config["profile"]), checkpoint, seed=config["seed"]).save(out)
    return out
