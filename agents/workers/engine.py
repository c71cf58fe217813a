"""`--engine` and `--ray-address`: who works for a command."""

from collections.abc import Callable
from importlib.util import find_spec

from ..local_ray import LOCAL, NOT_INSTALLED
from .base import Workers

ENGINES = ("local", "ray")


def workers_of(engine: str, ray_address: str = LOCAL, *, say: Callable[[str], None]) -> Workers:
    """The workers of an engine, to be used as a context; ValueError for what is not there.

    `ray_address` is `local` for a Ray of our own on this machine, or where a cluster's head listens: HOST:PORT, or
    `auto` for a cluster that this machine is part of.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, not {engine!r}")
    if engine == "local":
        if ray_address != LOCAL:
            raise ValueError("--ray-address goes with --engine ray")
        from .local import LocalWorkers

        return LocalWorkers()
    if find_spec("ray") is None:
        raise ValueError(f"--engine ray needs {NOT_INSTALLED}")
    from .on_ray import RayWorkers

    return RayWorkers(ray_address, say=say)
