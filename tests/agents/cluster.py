"""Run inside namespaces of its own (`test_ray_cluster.py`): a Ray cluster of two nodes, and what is done on it.

Arguments: a folder to work in, and one for Ray, whose path must be short. Prints one line of JSON at the end.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from olrl.agents.evaluation.compare import CompareConfig, compare
from olrl.agents.local_ray import QUIET
from olrl.agents.workers.base import Workers
from olrl.agents.workers.on_ray import RayWorkers
from olrl.envs.drifting_quadratic import DriftingQuadraticEnv

ADDRESS = "127.0.0.1:6379"
STEPS, N_ENVS = 6, 4
OPTIONS = ("--num-cpus=1", "--disable-usage-stats", "--object-store-memory=80000000", "--log-style=record")
PATIENT = {
    **QUIET,
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",  # QUIET forbids other nodes, so as to stay on loopback
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_raylet_start_wait_time_s": "300",
    "RAY_worker_niceness": "0",
    # A node that is gone is noticed at once, and one that is merely slow is waited for.
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_failure_threshold": "1",
    "RAY_health_check_timeout_ms": "120000",
}


class Placed(DriftingQuadraticEnv):
    """An environment that can be asked which node and process it is on."""

    def __init__(self) -> None:
        super().__init__(rounds=2 * STEPS)
        import ray

        self.node = ray.get_runtime_context().get_node_id() if ray.is_initialized() else "here"
        self.pid = os.getpid()


def placed() -> VecEnv:
    return DummyVecEnv([Placed])


# `ray start`, with the patience of ours for a machine that has other things to do.
START = """
import sys
from olrl.agents.local_ray import QUIET, _patience, import_ray
ray = import_ray(QUIET)
from ray.scripts.scripts import cli
with _patience(ray):
    cli(["start", *sys.argv[1:]])
"""


def start_node(*options: str) -> None:
    """`ray start`, as a person would do it; ends when the node runs."""
    command = [sys.executable, "-c", START, "--node-ip-address=127.0.0.1", *OPTIONS, *options]
    subprocess.run(command, env={**os.environ, **PATIENT}, stdout=sys.stderr, check=True)


def rows_of(folder: Path, workers: Workers | None) -> list[dict[str, Any]]:
    """A comparison's rows without their timings."""
    config = CompareConfig(
        controllers=("never", "base", "hypergradient"), streams=1, rounds=4, model="femto",
        base_lr_mult=(1.0,), processes=1,
    )  # fmt: skip
    rows = compare(config, cache=folder, workers=workers).rows()
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def played(envs: VecEnv, *, kill: Any = lambda step: None) -> list[Any]:
    """Observations and rewards of some steps with the same actions."""
    envs.seed(3)
    seen: list[Any] = [np.asarray(envs.reset()).tolist()]
    for step in range(STEPS):
        kill(step)
        choices: Any = envs.action_space
        actions = (choices.nvec // 2 + step) % choices.nvec
        observations, rewards, _, _ = envs.step(np.stack([actions] * envs.num_envs))
        seen.append([np.asarray(observations).tolist(), rewards.tolist()])
    return seen


def spread(workers: Workers) -> VecEnv:
    """Environments on both nodes; Ray promises to spread no more than as well as it can."""
    for _ in range(10):
        envs = workers.vec_env([placed] * N_ENVS)
        if len(set(envs.get_attr("node"))) > 1:
            break
        envs.close()
    return envs


def main(folder: Path, ray_folder: Path) -> dict[str, Any]:
    """Two nodes, a comparison on both, and environments one of whose nodes is killed."""
    socket.sethostname("localhost")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    start_node(
        "--head", "--port=6379", "--include-dashboard=false", "--no-monitor", f"--temp-dir={ray_folder}"
    )
    before = {process.pid for process in psutil.process_iter()}
    start_node(f"--address={ADDRESS}")
    second = [p for p in psutil.process_iter() if p.pid not in before and "raylet" in p.name()]
    found: dict[str, Any] = {"cores": 0, "raylets": len(second)}
    with RayWorkers(ADDRESS) as workers:
        found["cores"] = workers.count
        found["same rows"] = rows_of(folder / "ray", workers) == rows_of(folder / "here", None)
        envs = spread(workers)
        found["nodes"] = len(set(envs.get_attr("node")))

        def kill(step: int) -> None:
            if step == STEPS // 2:
                for raylet in second:  # with all that it began, as where a machine goes down
                    gone = [raylet, *raylet.children(recursive=True)]
                    for process in gone:
                        process.send_signal(signal.SIGKILL)
                    psutil.wait_procs(gone, timeout=60)

        through_ray = played(envs, kill=kill)
        found["replaced some"] = envs.replaced > 0  # type: ignore[attr-defined]
        found["nodes after"] = len(set(envs.get_attr("node")))
        envs.close()
    found["same steps"] = through_ray == played(DummyVecEnv([Placed] * N_ENVS))
    return found


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))))
