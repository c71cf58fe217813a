"""A leg of a hindsight stage: runs on new streams in processes, then a fit to all runs so far."""

from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.control.policy import FrozenPolicy

from ..warm_processes import end_with_parent, usable_cores, warm_context
from .config import HindsightConfig
from .runs import HindsightRunner, StreamRuns


@dataclass(frozen=True, kw_only=True)
class RunTask:
    """The runs on one stream; `env` are settings of `OnlineLMEnv`, as in a language stage."""

    number: int
    env: tuple[tuple[str, Any], ...]
    config: HindsightConfig
    policy: FrozenPolicy
    seed: int
    path: Path


def make_runs(tasks: list[RunTask], progress: Callable[[int], None]) -> list[StreamRuns]:
    """The runs of all tasks, in order; those whose file is there already are read."""
    missing = [task for task in tasks if not _readable(task.path)]
    progress(len(tasks) - len(missing))
    if missing:
        workers = min(usable_cores(), len(missing))
        with ProcessPoolExecutor(workers, mp_context=warm_context(), initializer=end_with_parent) as pool:
            try:
                futures = [pool.submit(_make, task) for task in missing]
                for done, future in enumerate(as_completed(futures), start=len(tasks) - len(missing) + 1):
                    future.result()
                    progress(done)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
    return [StreamRuns.load(task.path) for task in tasks]


def _readable(path: Path) -> bool:
    try:
        StreamRuns.load(path)
    except (OSError, ValueError, KeyError):
        return False  # never made, or cut short by a crash: it is made again
    return True


def _make(task: RunTask) -> None:
    import torch

    torch.set_num_threads(1)  # as many processes as cores share them already
    runner = _runner(task.env, task.config)
    coding = task.policy.coding
    runs = runner.run(task.number, task.policy.act, coding, seed=task.seed)
    runs.save(task.path)


@lru_cache(maxsize=1)
def _runner(env: tuple[tuple[str, Any], ...], config: HindsightConfig) -> HindsightRunner:
    from olrl.envs.online_lm import OnlineLMEnv

    single = OnlineLMEnv(**_thawed(env), rounds=config.rounds)
    return HindsightRunner(
        single.loaded, single.streams, loop=single.config, config=config, ranges=single.ranges
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
