"""Work done through Ray is the work done here, to the bit, also where a process of Ray's is killed meanwhile."""

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from olrl.agents.evaluation.compare import CompareConfig, compare
from olrl.agents.local_ray import ENVIRONMENT, joined_ray, local_ray
from olrl.agents.ppo.environments import make_stack
from olrl.agents.workers.engine import workers_of
from olrl.agents.workers.on_ray import RayWorkers
from olrl.agents.workers.ray_pool import RayPool
from olrl.agents.workers.ray_vec_env import RayVecEnv
from olrl.cli import execute
from olrl.envs.drifting_quadratic import DriftingQuadraticEnv

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="the extra ray is not installed")
ROUNDS = 6


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    with local_ray(cpus=2) as (started, _):
        yield started
    # A process begun afterwards may join a cluster, and bring its token: nothing of ours is left for it to inherit.
    assert {name: os.environ.get(name) for name in ENVIRONMENT} == before


class Located(DriftingQuadraticEnv):
    """An environment that can be asked for the process it is in."""

    def __init__(self) -> None:
        super().__init__(rounds=ROUNDS)
        self.pid = os.getpid()


def singles(count: int) -> VecEnv:
    """Runs where the environments are: imported there by the name of this module."""
    return DummyVecEnv([Located] * count)


class KillsOne(BaseCallback):
    """SIGKILL to the process of the first environments in the middle of the second rollout."""

    def _on_step(self) -> bool:
        if self.n_calls == 12:
            os.kill(self.training_env.get_attr("pid", indices=0)[0], signal.SIGKILL)
            time.sleep(0.2)  # Ray is not to notice before the next step is asked for
        return True


def trained(envs: VecEnv, callback: BaseCallback | None = None) -> dict[str, torch.Tensor]:
    """What PPO learns in three rollouts."""
    model = PPO("MlpPolicy", envs, n_steps=8, batch_size=8, n_epochs=2, seed=5, device="cpu")
    model.learn(8 * 3 * envs.num_envs, callback=callback)
    return dict(model.policy.state_dict())


def assert_same_bits(some: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> None:
    assert some.keys() == others.keys()
    for name, weights in some.items():
        assert weights.numpy().tobytes() == others[name].numpy().tobytes(), name


@needs_ray
def test_two_workers_train_the_bytes_of_dummy_vec_env_also_where_one_is_killed(ray: Any) -> None:
    told: list[str] = []
    envs = RayVecEnv([partial(singles, 2), partial(singles, 1)], ray=ray, say=told.append)
    assert len({os.getpid(), *envs.get_attr("pid")}) == 3, "the parts are not in processes of their own"
    expected = trained(singles(3))
    assert_same_bits(trained(envs), expected)
    assert envs.replaced == 0
    assert_same_bits(trained(envs, KillsOne()), expected)
    assert envs.replaced == 1
    assert "plays its 12 steps again" in told[0] or "plays its 13 steps again" in told[0]
    envs.close()


@needs_ray
def test_a_mistake_of_the_environments_is_told_in_its_words(ray: Any) -> None:
    with pytest.raises(ValueError, match="split must be one of") as told:
        RayVecEnv([partial(make_stack, 2, split="other")], ray=ray)
    assert "ray::" not in str(told.value)


def dies(count: int) -> VecEnv:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


@needs_ray
def test_one_that_dies_again_and_again_is_given_up(ray: Any) -> None:
    with pytest.raises(ChildProcessError, match="died 3 times"):
        RayVecEnv([partial(dies, 1)], ray=ray)


def dies_once(mark: Path) -> int:
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def refuses(word: str) -> None:
    raise ValueError(f"not {word}")


@needs_ray
def test_calls_are_made_again_where_a_process_dies_and_mistakes_are_told(ray: Any, tmp_path: Path) -> None:
    pool: Executor = RayPool(ray)
    assert pool.submit(dies_once, tmp_path / "mark").result(timeout=120) != os.getpid()
    with pytest.raises(ValueError, match=r"^not today$"):
        pool.submit(refuses, "today").result(timeout=120)
    waiting = [pool.submit(time.sleep, 1.0) for _ in range(6)]
    assert waiting[-1].cancel()
    assert waiting[-1].cancelled()


class Started(RayWorkers):
    """Workers on a Ray that runs already."""

    def __init__(self, ray: Any) -> None:
        super().__init__()
        self._ray = ray


@needs_ray
def test_a_comparison_through_ray_is_that_of_this_machine_but_for_timings(ray: Any, tmp_path: Path) -> None:
    config = CompareConfig(
        controllers=("never", "hypergradient"), streams=1, rounds=4, model="femto", base_lr_mult=(1.0,)
    )
    rows = {}
    with Started(ray) as through_ray:
        rows["ray"] = compare(config, cache=tmp_path / "ray", workers=through_ray).rows()
    rows["local"] = compare(config, cache=tmp_path / "local").rows()
    for row in (*rows["ray"], *rows["local"]):
        assert row.pop("seconds") > 0
    assert json.dumps(rows["ray"]) == json.dumps(rows["local"])


def test_what_is_not_there_is_told_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("olrl.agents.workers.engine.find_spec", lambda name: None)
    for options, told in (
        (["--engine", "ray"], "pip install 'olrl[ray]'"),
        (["--engine", "spark"], "engine must be one of local, ray, not 'spark'"),
        (["--ray-address", "auto"], "--ray-address goes with --engine ray"),
    ):
        for command in (["train", "--profile", "quick"], ["compare", "--streams", "1"]):
            assert execute([*command, *options, "--out", str(tmp_path / "out")]) == 2
            error = capsys.readouterr().err
            assert told in error
            assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_ray_is_not_started_where_nothing_is_to_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    if find_spec("ray") is None:
        pytest.skip("the extra ray is not installed")

    def never(**given: Any) -> Any:
        raise AssertionError("Ray was started")

    monkeypatch.setattr("olrl.agents.workers.on_ray.local_ray", never)
    with workers_of("ray", say=print) as workers:
        assert workers.count >= 1


@needs_ray
def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="HOST:PORT or auto"), joined_ray("ray://somewhere"):
        pass
