"""Ray on this machine only, where nothing listens beyond loopback and nothing stays behind; or a cluster joined."""

import inspect
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_S = 180.0
OBJECT_STORE_BYTES = 100 * 2**20  # jobs and figures only: text is read where it is needed

LOCAL = "local"  # the address of a Ray of our own on this machine
NOT_INSTALLED = "the package ray: install it with pip install 'olrl[ray]'"

# Read when ray is imported, or by the processes that it starts.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the new one prints at any verbosity
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # TensorBoard and CSV of each trial
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours
    "TUNE_WARN_THRESHOLD_S": "60",
}
ENVIRONMENT = {
    **QUIET,
    "RAY_AUTH_MODE": "disabled",  # nobody but this machine can connect, and no token is to lie in a home folder
    # Ray replaces 127.0.0.1 by the address that others reach this machine at, unless clusters are off: then all
    # of its processes listen on loopback. The name is an accident of history, it works on every system.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Helpers get 15 s to start by default, which a machine under load does not make.
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_worker_niceness": "0",  # 15 by default: beside anything else that computes, nothing would be done
}


def import_ray(environment: Mapping[str, str] = ENVIRONMENT) -> Any:
    """The package ray, imported under our settings; ValueError if it is not there."""
    with _settings(environment):
        try:
            import ray
        except ImportError as error:
            raise ValueError(f"this needs {NOT_INSTALLED}") from error
    return ray


@contextmanager
def _settings(environment: Mapping[str, str]) -> Iterator[None]:
    """Variables of the environment within; afterwards as before, since every process begun later inherits them."""
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def joined_ray(address: str) -> Iterator[Any]:
    """Ray, connected to the cluster whose head is at an address (HOST:PORT, or `auto`), which stays as it is.

    How the cluster listens, and whom it lets in, is its owner's to say. ValueError where it cannot be joined, or
    ray was imported before to stay on this machine.
    """
    if "://" in address:
        raise ValueError(f"the address of a Ray cluster is HOST:PORT or auto, not {address!r}")
    ray = import_ray(QUIET)
    if not ray._private.ray_constants.ENABLE_RAY_CLUSTER:
        raise ValueError("ray was kept to this machine before: join a cluster from a process of its own")
    if ray.is_initialized():
        raise ValueError("ray runs in this process already: call ray.shutdown() first")
    with _settings(QUIET):
        try:
            ray.init(address=address, log_to_driver=False, configure_logging=False)
        except (*_FAILURES, ray.exceptions.RayError) as error:
            raise ValueError(f"no Ray cluster could be joined at {address}: {_first_line(error)}") from error
        try:
            yield ray
        finally:
            ray.shutdown()


@contextmanager
def local_ray(*, cpus: int) -> Iterator[tuple[Any, Path]]:
    """Ray with so many cores, and a private folder that ends with it; all its processes are gone afterwards.

    ValueError where it cannot be started, runs in this process already, or was imported before us and so would
    listen on all networks.
    """
    ray = import_ray()
    if ray._private.ray_constants.ENABLE_RAY_CLUSTER:
        raise ValueError(
            "ray was imported before olrl could keep it to this machine: work in a process of its own"
        )
    if ray.is_initialized():
        raise ValueError("ray runs in this process already: call ray.shutdown() first")
    # Short, and not TMPDIR: the sockets in it may have names of 107 bytes at most.
    folder = Path(tempfile.mkdtemp(prefix="olrl-ray-", dir="/tmp"))
    with _settings(ENVIRONMENT):
        try:
            _start(ray, folder, cpus)
            yield ray, folder
        finally:
            ray.shutdown()
            shutil.rmtree(folder, ignore_errors=True)


def _start(ray: Any, folder: Path, cpus: int) -> None:
    try:
        with _patience(ray):
            ray.init(
                num_cpus=cpus,
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
                object_store_memory=OBJECT_STORE_BYTES,
                _temp_dir=str(folder),
                log_to_driver=False,
                configure_logging=False,
            )
    except (*_FAILURES, ray.exceptions.RayError) as error:
        raise ValueError(f"ray could not be started on this machine: {_first_line(error)}") from error


# What `ray.init` raises when a process of Ray did not come up or is not reached.
_FAILURES = (RuntimeError, OSError, ValueError)


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


@contextmanager
def _patience(ray: Any) -> Iterator[None]:
    """Within, Ray may take longer to start than by its own constants, as it does where all cores are busy.

    Its raylet gives each helper 15 s to write down on which port it listens, and dies else; the whole gets 30 s.
    Neither is a setting of `ray.init`. So helpers are given their ports; of the one that cannot be given, it is
    written down beforehand that there is none, as the helper does itself without a dashboard; and who waits for
    the whole asks again.
    """
    services, parameter = ray._private.services, ray._private.parameter
    once, plain, raylet = services.get_node, parameter.RayParams, services.start_raylet
    names = ("metrics_agent_port", "metrics_export_port", "runtime_env_agent_port")
    ports = dict(zip(names, _free_ports(len(names)), strict=True))

    def start_raylet(*given: Any, **named: Any) -> Any:
        told = inspect.signature(raylet).bind(*given, **named).arguments
        Path(told["session_dir"], f"dashboard_agent_listen_port_{told['node_id']}").write_text("-1")
        return raylet(*given, **named)

    def get_node(*given: Any, **named: Any) -> Any:
        deadline = time.monotonic() + START_S
        while True:
            try:
                return once(*given, **named)
            except RuntimeError as error:  # not there yet
                if time.monotonic() > deadline:  # of a RuntimeError, Ray would make a bare Exception
                    raise TimeoutError(f"its raylet did not start in {START_S:.0f} s") from error
                time.sleep(0.2)

    services.get_node, services.start_raylet = get_node, start_raylet
    parameter.RayParams = lambda **named: plain(**{**named, **ports})
    try:
        yield
    finally:
        services.get_node, services.start_raylet, parameter.RayParams = once, raylet, plain


def _free_ports(count: int) -> list[int]:
    """Different ports on loopback that nobody listens on now."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
