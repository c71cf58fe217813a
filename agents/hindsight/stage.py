"""A leg of a hindsight stage: runs on new streams in processes, then a fit to all runs so far."""

import hashlib
import json
from collections.abc import Callable, Mapping
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import olrl.envs
from olrl.control.policy import FrozenPolicy
from olrl.monitor.feature_set import HAND_MADE, feature_set_of
from olrl.streams.corpus import cache_folder

from ..fingerprint import fingerprint, model_place
from ..workers.base import Workers
from ..workers.local import LocalWorkers
from .config import HindsightConfig
from .grounds import text_grounds
from .label_streams import MODELS, label_grounds
from .runs import HindsightRunner, StreamRuns

_ELSEWHERE = ("parts.py", "processes.py")  # where environments are computed changes no number
_RUNS = {"text": ("runs", "grounds"), "labels": ("runs", "grounds", "label_streams", "separate_loops")}
_ENVIRONMENT = sorted(
    file for file in Path(olrl.envs.__file__).parent.glob("*.py") if file.name not in _ELSEWHERE
)


@dataclass(frozen=True, kw_only=True)
class RunTask:
    """The runs on one stream; `env` are settings of `OnlineLMEnv`, as in a language stage.

    Where the grounds are labels, nothing but `ranges` is read of them, and where the streams begin.
    """

    number: int
    env: tuple[tuple[str, Any], ...]
    config: HindsightConfig
    policy: FrozenPolicy
    seed: int
    path: Path


@lru_cache
def kept_runs(env: tuple[tuple[str, Any], ...], config: HindsightConfig) -> Path:
    """The folder where constant runs are kept between training runs, since no policy and no seed change them.

    It is named after all that decides them: the code that runs, the text, the model, the streams and their length.
    """
    labels = config.grounds == "labels"
    name = "labels" if labels else str(dict(env)["model"])
    models = MODELS if labels else (name,)
    modules = [Path(__file__).with_name(f"{module}.py") for module in _RUNS[config.grounds]]
    code = fingerprint([*map(model_place, models), *modules, *_ENVIRONMENT], builtin=True)
    settings = json.dumps([env, config.rounds, code])
    return (
        cache_folder()
        / "hindsight"
        / f"{Path(name).name}-{hashlib.sha256(settings.encode()).hexdigest()[:16]}"
    )


def make_runs(
    tasks: list[RunTask], progress: Callable[[int], None], *, workers: Workers | None = None
) -> list[StreamRuns]:
    """The runs of all tasks, in order; those whose file is there already are read, the others made by `workers`.

    Those are this machine's cores unless others are given. They write nothing but constant runs, each into the
    cache of its own machine.
    """
    missing = [task for task in tasks if not _readable(task.path)]
    progress(len(tasks) - len(missing))
    if missing:
        workers = workers or LocalWorkers()
        with workers.pool(min(workers.count, len(missing))) as pool:
            futures = {pool.submit(_make, task): task for task in missing}
            try:
                for done, future in enumerate(as_completed(futures), start=len(tasks) - len(missing) + 1):
                    future.result().save(futures[future].path)
                    progress(done)
            finally:
                for future in futures:
                    future.cancel()
    return [StreamRuns.load(task.path) for task in tasks]


def _readable(path: Path) -> bool:
    try:
        StreamRuns.load(path)
    except (OSError, ValueError, KeyError):
        return False  # never made, or cut short by a crash: it is made again
    return True


def _make(task: RunTask) -> StreamRuns:
    import torch

    torch.set_num_threads(1)  # as many processes as cores share them already
    runner = _runner(task.env, task.config, json.dumps(task.policy.features.spec()))
    steered = runner.steered(task.number, task.policy.act, task.policy.coding, seed=task.seed)
    held, paused = _kept(runner.held, task, ""), _kept(runner.paused, task, "-paused")
    return (held + paused).wandering(task.number).seen_as(task.policy.features) + steered


def _kept(make: Callable[[int], StreamRuns], task: RunTask, kind: str) -> StreamRuns:
    path = kept_runs(task.env, task.config) / f"{task.number:05d}{kind}.npz"
    if not _readable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        make(task.number).seen_as(HAND_MADE).save(path)
    return StreamRuns.load(path)


@lru_cache(maxsize=1)
def _runner(env: tuple[tuple[str, Any], ...], config: HindsightConfig, features: str) -> HindsightRunner:
    from olrl.envs.online_lm import EpisodeRanges, OnlineLMEnv

    settings = _thawed(env)
    if config.grounds == "labels":
        grounds = label_grounds(config.rounds)
        ranges = EpisodeRanges.from_dict(settings.get("ranges") or {})
    else:
        single = OnlineLMEnv(**settings, rounds=config.rounds)
        grounds, ranges = text_grounds(single), single.ranges
    return HindsightRunner(
        grounds, config=config, ranges=ranges, features=feature_set_of(json.loads(features))
    )


def frozen_settings(env: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Settings of an environment as a key: mappings and lists become tuples."""
    return tuple(sorted((name, _frozen(value)) for name, value in env.items()))


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return ("mapping", frozen_settings(value))
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def _thawed(env: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    return {
        name: _thawed(value[1]) if isinstance(value, tuple) and value[:1] == ("mapping",) else value
        for name, value in env
    }


def quantiles_of(runs: list[StreamRuns], levels: tuple[float, ...]) -> NDArray[np.float64]:
    """Quantiles of every feature over all observations: shape (features, levels)."""
    seen = np.concatenate([one.observations.reshape(-1, one.observations.shape[-1]) for one in runs])
    quantiles: NDArray[np.float64] = np.quantile(seen.astype(np.float64), levels, axis=0).T
    return quantiles
