"""`olrl train` and `olrl export`: the run folder around a training run."""

import itertools
import json
from contextlib import ExitStack
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import typer

from olrl.cli import EXIT_INTERRUPTED
from olrl.control.policy import load_policy
from olrl.folder_lock import FolderLock
from olrl.monitor.feature_set import HAND_MADE
from olrl.run_folder import RunFolder, disk_mistakes

from ..bars import Bars
from ..features.spec_file import read_feature_set
from ..training_range import RangeConfig, measure_range
from ..workers.base import Workers
from ..workers.local import LocalWorkers
from .checkpoint import newest_checkpoint
from .export import PACKAGES
from .progress import Progress
from .recipe import Recipe
from .recipe import recipe as recipe_of
from .report import write_report
from .train import Reporter, best_policy, policy_of_checkpoint, train


class StopRequested(Exception):
    """A person has put a file STOP into the folder of a training."""


class Stoppable:
    """Tells another reporter, and ends the training at its next step where a file `STOP` lies in its folder."""

    def __init__(self, report: Reporter, folder: RunFolder) -> None:
        self._report, self._folder = report, folder

    def part(self, name: str, total: int) -> None:
        """A part of the run with so many steps begins."""
        self._report.part(name, total)

    def step(self, done: int, note: str = "") -> None:
        """So many of its steps are done; StopRequested where there shall be no more."""
        self._report.step(done, note)
        if self._folder.stop_requested:
            raise StopRequested

    def say(self, text: str) -> None:
        """A line to keep."""
        self._report.say(text)


RANGE_STREAMS = {"standard": 4, "full": 10}  # of each model, on which the range of training is measured
# Streams of labels differ more: 5 % of the rounds of others are outside of what 10 show, 0.6 % of what 60 show.
RANGE_LABELS = 6  # for each stream of text of a model


def train_and_tell(
    profile: str,
    *,
    seed: int,
    out: Path,
    resume: bool,
    bars: Bars,
    workers: Workers | None = None,
    features: Path | None = None,
) -> Progress:
    """Train into a new folder, or go on in one; write the report and say where things are.

    `features` is a file that `olrl features` wrote; without, observations are the features made by hand. The
    `workers` are this machine's cores unless others are given. A run that is gone on with keeps the number of
    stacks that it was begun with, and so ends in the same bits with any.
    """
    recipe = recipe_of(profile)
    if features is not None:
        recipe = replace(recipe, features=read_feature_set(features).spec())
    settings: dict[str, Any] = {
        "command": "train",
        "profile": profile,
        "seed": seed,
        "versions": {name: version(name) for name in PACKAGES},
    }
    with disk_mistakes(out, "train"), ExitStack() as stack:
        if not out.is_dir():
            RunFolder.open(out) if resume else RunFolder.create(out)
        stack.enter_context(FolderLock(out))
        workers = workers or LocalWorkers()
        if resume:
            given = RunFolder.open(out).read_config()
            if features is None:  # a run goes on with what it observes
                recipe = replace(recipe, features=_features_of(given))
            _check_same(given, {**settings, "recipe": _plain(recipe)}, out)
            stacks = given["stacks"] if type(given.get("stacks")) is int else workers.count
            RunFolder.open(out).stop.unlink(missing_ok=True)
        else:
            stacks = workers.count
            RunFolder.create(out).write_config({**settings, "recipe": _plain(recipe), "stacks": stacks})
        return _train_and_tell(
            recipe, seed=seed, out=out, resume=resume, bars=bars, workers=workers, stacks=stacks
        )


def _train_and_tell(
    recipe: Recipe, *, seed: int, out: Path, resume: bool, bars: Bars, workers: Workers, stacks: int
) -> Progress:
    profile = recipe.name
    bars.say(
        f"Training profile {profile} ({recipe.minutes} on two cores) into {out}; Ctrl-C and --resume go on later"
    )
    report = Stoppable(bars, RunFolder(out))
    again = f"go on with: olrl train --profile {profile} --seed {seed} --out {out} --resume"
    try:
        progress = train(
            recipe, seed=seed, out=out, resume=resume, report=report, workers=workers, stacks=stacks
        )
        add_range(out / "policy", recipe, streams=RANGE_STREAMS.get(profile, 0), report=report)
    except ChildProcessError as error:
        raise ChildProcessError(f"{error}; {again}") from error
    except (ValueError, TypeError, OSError):
        if not resume and newest_checkpoint(out / "checkpoints") is None:
            RunFolder.open(out).discard()  # a mistake before anything was trained
        raise
    except (KeyboardInterrupt, StopRequested) as stopped:
        bars.say(f"Stopped; {again}")
        raise typer.Exit(0 if isinstance(stopped, StopRequested) else EXIT_INTERRUPTED) from None
    write_report(out / "report.md", recipe, progress, seed=seed)  # last: with it the run is complete
    bars.say(f"Policy in {out / 'policy'}, report in {out / 'report.md'}; curves: tensorboard --logdir {out}")
    return progress


def add_range(folder: Path, recipe: Recipe, *, streams: int, report: Reporter) -> None:
    """Let a policy play training streams of the models it was trained on, and put the range it sees into its file.

    Does nothing for a policy that has a range already (a run gone on with), that saw no language model, whose
    features are a selected set, or with no streams.
    """
    policy = load_policy(folder)
    models = recipe.models
    if policy.training_range is not None or not models or not streams or policy.features is not HAND_MADE:
        return
    labels = RANGE_LABELS * streams if recipe.learns_labels else 0
    config = RangeConfig(models=models, streams=streams, labels=labels)
    report.part("range of training, for the guard", len(models) * streams + labels)
    done = itertools.count(1)
    seen = measure_range(policy, config, progress=lambda line: report.step(next(done), line))
    replace(policy, training_range=seen).save(folder)


def _plain(recipe: Recipe) -> dict[str, Any]:
    """As in config.json; features are named where they are not those made by hand."""
    plain = asdict(recipe)
    if recipe.features is None:
        del plain["features"]
    return plain


def _features_of(config: dict[str, Any]) -> Any:
    """The spec that the config.json of a run names, None for the features made by hand."""
    recipe = config.get("recipe")
    return recipe.get("features") if isinstance(recipe, dict) else None


def _check_same(given: dict[str, Any], settings: dict[str, Any], out: Path) -> None:
    """A run is only gone on with as it was begun: another recipe would end in a policy that nobody can repeat."""
    for name in ("profile", "seed"):
        if given.get(name) != settings[name]:
            raise ValueError(
                f"--resume with {name} {settings[name]!r}, but the run in {out} has {given.get(name)!r}"
            )
    if given.get("recipe") != json.loads(json.dumps(settings["recipe"])):
        raise ValueError(
            f"profile {settings['profile']} has changed since the run in {out} began: train anew"
        )


def export_checkpoint(run: Path, out: Path) -> Path:
    """The best policy of a run so far, or its last where none was judged yet, written to `out`."""
    config = RunFolder.open(run).read_config()
    if config.get("command") != "train":
        raise ValueError(f"{run} is not the folder of an olrl train run")
    checkpoint = newest_checkpoint(run / "checkpoints")
    if checkpoint is None:
        raise ValueError(f"{run} holds no checkpoint yet: let olrl train run to the end of its first leg")
    given = config.get("recipe")
    if not isinstance(given, dict) or not isinstance(config.get("profile"), str):
        raise ValueError(f"{run}/config.json names no profile and recipe: it is damaged")
    if type(config.get("seed")) is not int or config["seed"] < 0:
        raise ValueError(f"{run}/config.json names no seed: it is damaged")
    recipe = replace(recipe_of(config["profile"]), features=_features_of(config))
    _check_same_policy(given, json.loads(json.dumps(_plain(recipe))), run)
    last = policy_of_checkpoint(recipe, checkpoint, seed=config["seed"])
    best_policy(run, last, Progress.from_dict(checkpoint.progress)).save(out)
    return out


def _check_same_policy(given: dict[str, Any], now: dict[str, Any], run: Path) -> None:
    """Weights do not tell what their actions mean: codings with the same choices would pass for each other."""
    for name in ("coding", "coding_settings", "hidden"):
        if given.get(name) != now[name]:
            raise ValueError(
                f"{run} was trained with {name} {given.get(name)!r}, its profile now has {now[name]!r}: "
                f"export it with the version that trained it"
            )
