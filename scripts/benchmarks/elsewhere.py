"""What a step of environments costs more where they are in other processes: Python's own, or Ray's."""

import time
from collections.abc import Callable, Iterator
from functools import partial

from stable_baselines3.common.vec_env import VecEnv

from .environments import moves
from .figures import Absent, Figure, Section, Setting, need

INSTANCES, PARTS = 32, 2  # the surrogate's step of so few is far below a millisecond: the way is what is seen


def _stepping(setting: Setting) -> Iterator[Figure]:
    batched = need("olrl.envs.drifting_quadratic_vec", "DriftingQuadraticVecEnv")
    half = partial(batched, INSTANCES // PARTS)
    local = need("olrl.agents.workers.local", "LocalWorkers")
    ray = need("olrl.agents.workers.on_ray", "RayWorkers")
    here = _milliseconds(partial(batched, INSTANCES), setting)
    yield Figure(name="in this process", value=here, unit="ms")
    for name, workers in (("processes", local), ("Ray's processes", ray)):
        started = time.perf_counter()
        with workers() as some:
            try:
                make = partial(some.vec_env, [half] * PARTS)
                first = _timed_start(make)
                if name != "processes":
                    yield Figure(name="starting Ray and two processes", value=first - started, unit="s")
                took = _milliseconds(make, setting)
            except ValueError as error:  # without the extra
                raise Absent(str(error)) from error
        more = took - here
        yield Figure(name=f"in {PARTS} {name}", value=took, unit="ms")
        yield Figure(name=f"{name}: more a step", value=more, unit="ms")
        # k processes take T / k + more where one takes T
        yield Figure(name=f"{name}: pay above a step of", value=more * PARTS / (PARTS - 1), unit="ms")


def _timed_start(make: Callable[[], VecEnv]) -> float:
    make().close()
    return time.perf_counter()


def _milliseconds(make: Callable[[], VecEnv], setting: Setting) -> float:
    """Median wall time of a step of all instances."""
    envs = make()
    try:
        envs.seed(setting.seed)
        envs.reset()
        times: list[float] = []
        for action in moves(setting.of(300, 6), envs.num_envs, setting.seed):
            started = time.perf_counter()
            envs.step(action)
            times.append(time.perf_counter() - started)
    finally:
        envs.close()
    times.sort()
    return 1e3 * times[len(times) // 2]


SECTION = Section(
    name="elsewhere",
    about="a step of environments in other processes, Python's and Ray's",
    parts={"stepping": _stepping},
)
