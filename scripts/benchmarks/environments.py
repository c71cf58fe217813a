"""Steps a second of the environments: one at a time, a process a core, and many at once."""

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

from .clock import seconds
from .figures import Absent, Figure, Part, Section, Setting, need
from .rounds import PLAIN_EPISODE, STAY

SURROGATE, LANGUAGE = "olrl.envs:olrl/DriftingQuadratic-v0", "olrl.envs:olrl/OnlineLM-v0"
STREAMS = 4  # few, so that their references are soon in the cache
NOTCHES = {batch: k for k, batch in enumerate((1, 2, 4, 8, 16, 32, 64))}
WINDOW_PLACES = {window: k for k, window in enumerate((1, 2, 4, 8, 16, 32, 64, 0))}


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def moves(steps: int, instances: int, seed: int) -> NDArray[np.int64]:
    """Moves at random, mostly "stay" and "train"; shape (steps, instances, 4)."""
    rng = np.random.default_rng(seed)
    drawn = rng.choice(3, size=(steps, instances, 4), p=(0.1, 0.8, 0.1))
    drawn[..., 3] = rng.random((steps, instances)) < 0.95
    return drawn


def steps_a_second(envs: VecEnv, steps: int, seed: int) -> tuple[float, float]:
    """Environment steps a wall second and a processor second of this process, of all instances together.

    The first reset and two steps are not counted.
    """
    envs.seed(seed)
    envs.reset()
    actions = moves(steps + 2, envs.num_envs, seed)
    for warming in actions[:2]:
        envs.step(warming)
    wall, processor = time.perf_counter(), time.process_time()
    for action in actions[2:]:
        envs.step(action)
    made = steps * envs.num_envs
    return made / (time.perf_counter() - wall), made / (time.process_time() - processor)


def _maker(name: str, **settings: Any) -> Callable[[], gymnasium.Env[Any, Any]]:
    def make() -> gymnasium.Env[Any, Any]:
        torch.set_num_threads(1)
        return gymnasium.make(name, **settings)

    return make


def _processes(maker: Callable[[], gymnasium.Env[Any, Any]]) -> VecEnv:
    need("olrl.agents.warm_processes", "warm_context")()
    return SubprocVecEnv([maker] * cores(), start_method="forkserver")


def _rates(
    ways: dict[str, tuple[Callable[[], VecEnv], int]], *, baseline: str, setting: Setting
) -> Iterator[Figure]:
    """Steps a second of each way to run environments, and over those of `baseline`."""
    rates: dict[str, float] = {}
    for name, (make, steps) in ways.items():
        try:
            envs = make()
        except Absent:
            continue
        try:
            rates[name], by_processor = steps_a_second(envs, steps, setting.seed)
        finally:
            envs.close()
        yield Figure(name=name, value=rates[name], unit="steps/s")
        if "processes" not in name:  # whose work is done elsewhere
            yield Figure(name=f"{name}, by processor time", value=by_processor, unit="steps/s")
        if baseline in rates and name != baseline:
            yield Figure(name=f"{name} / {baseline}", value=rates[name] / rates[baseline], unit="ratio")


def _surrogate(setting: Setting) -> Iterator[Figure]:
    single, processes = _maker(SURROGATE), f"{cores()} processes"
    batched = need("olrl.envs.drifting_quadratic_vec", "DriftingQuadraticVecEnv")
    ways: dict[str, tuple[Callable[[], VecEnv], int]] = {
        processes: (lambda: _processes(single), setting.of(200, 3)),
        "one": (lambda: DummyVecEnv([single]), setting.of(200, 3)),
    }
    for n in (1, 4) if setting.quick else (1, 16, 128, 256):
        ways[f"batched, {n}"] = (partial(batched, n), setting.of(250, 3))
    yield from _rates(ways, baseline=processes, setting=setting)


def _batched_language(n: int, **settings: Any) -> VecEnv:
    made: VecEnv = need("olrl.envs.online_lm_vec", "OnlineLMVecEnv")(n, **settings)
    return made


def _batched_processes(n: int, **settings: Any) -> VecEnv:
    """As training has them: a stack a core."""
    maker = need("olrl.agents.ppo.environments", "make_stack")
    processes = need("olrl.envs.processes", "VecEnvProcesses")
    context = need("olrl.agents.warm_processes", "warm_context")()
    sizes = [len(part) for part in np.array_split(np.arange(n), cores())]
    made: VecEnv = processes([partial(maker, size, **settings) for size in sizes], context=context)
    return made


def _language(model: str, setting: Setting) -> Iterator[Figure]:
    rounds = setting.of(60, 6)
    settings = {"model": model, "rounds": rounds, "n_streams": STREAMS}
    single, processes = _maker(LANGUAGE, **settings), f"{cores()} processes"
    _warm_references(single)
    steps = rounds - 4
    ways: dict[str, tuple[Callable[[], VecEnv], int]] = {
        processes: (lambda: _processes(single), steps),
        "one": (lambda: DummyVecEnv([single]), steps),
    }
    sizes = (1, 4) if setting.quick else (1, 4, 16, 64, 256)
    for n in sizes:
        often = max(3, min(steps, 512 // n))
        ways[f"batched, {n}"] = (partial(_batched_language, n, **settings), often)
        if n >= cores():
            parts = partial(_batched_processes, n, **settings)
            ways[f"batched, {n} in {cores()} processes"] = (parts, often)
    yield from _rates(ways, baseline=processes, setting=setting)
    need("olrl.envs.online_lm_vec", "OnlineLMVecEnv")  # so that its absence is said


def _warm_references(maker: Callable[[], gymnasium.Env[Any, Any]]) -> None:
    """Have every stream's reference in the cache: an episode names its stream by its seed."""
    env = maker()
    for seed in range(4 * STREAMS):
        env.reset(options={"episode_seed": seed})


def _round_at(
    model: str, setting: Setting, *, batch_size: int = 2, window: int = 1, threads: int = 1
) -> float:
    """Milliseconds of a round under one decision that stays in force, lower decile over rounds.

    Processor time of one thread, wall time of several. Threads that wait for one another on a busy machine can
    take seconds for a round: the mean would say nothing.
    """
    steps = setting.of(15, 2)
    wanted, place = NOTCHES[batch_size] - NOTCHES[2], WINDOW_PLACES[window]
    way = max(abs(wanted), place)
    env = need("olrl.envs.online_lm", "OnlineLMEnv")(
        model=model, rounds=way + steps + 2, n_streams=1, ranges=PLAIN_EPISODE
    )
    env.reset(seed=0)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for k in range(way):
            batch_move = int(np.sign(wanted)) if k < abs(wanted) else 0
            env.step(np.array([1, 1 + batch_move, 1 + (k < place), 1]))
        info = env.step(STAY)[-1]
        decision = info["record"].decision
        assert (decision.batch_size, decision.window) == (batch_size, window), "the moves lead there"
        clock = time.process_time if threads == 1 else time.perf_counter
        return seconds(lambda: env.step(STAY), calls=steps - 1, clock=clock) * 1e3
    finally:
        torch.set_num_threads(before)


def _scaling(model: str, setting: Setting) -> Iterator[Figure]:
    sizes, windows = ((1, 64), (1, 0)) if setting.quick else ((1, 2, 4, 8, 16, 32, 64), (1, 8, 64, 0))
    for batch_size in sizes:
        taken = _round_at(model, setting, batch_size=batch_size)
        yield Figure(name=f"batch size {batch_size}, processor time", value=taken, unit="ms")
    for window in windows:
        name = f"window {window or 'reservoir'}, processor time"
        yield Figure(name=name, value=_round_at(model, setting, window=window), unit="ms")
    for threads in (1,) if setting.quick else (1, 2):  # two threads on a busy machine may take minutes
        for batch_size in (2, 16):
            taken = _round_at(model, setting, batch_size=batch_size, threads=threads)
            clock = "processor" if threads == 1 else "wall"
            yield Figure(
                name=f"{threads} threads, batch size {batch_size}, {clock} time", value=taken, unit="ms"
            )


_PARTS: dict[str, Part] = {"surrogate": _surrogate}
_PARTS |= {model: partial(_language, model) for model in ("femto", "pico", "nano")}
_PARTS |= {f"{model}, a round by decision": partial(_scaling, model) for model in ("pico", "nano")}
SECTION = Section(name="environments", about="steps a second of the environments", parts=_PARTS)
