"""The same questions for every registered environment."""

import copy
import json
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as check_by_gymnasium
from stable_baselines3.common.env_checker import check_env as check_by_sb3

from olrl.envs import ENVIRONMENTS
from tests.conformance.subject import exact

# Short episodes, small enough to ask many questions of.
SETTINGS: dict[str, dict[str, Any]] = {
    "olrl/OnlineLM-v0": {"rounds": 8, "chunk": 4, "n_streams": 4},
    "olrl/DriftingQuadratic-v0": {"rounds": 20},
}


def make(name: str, **more: Any) -> Any:
    return gymnasium.make(name, **{**SETTINGS[name], **more}).unwrapped


def actions(env: Any, count: int, *, seed: int = 5) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.integers(env.action_space.nvec) for _ in range(count)]


def play(env: Any, moves: list[Any]) -> list[str]:
    """All that each step shows, until the episode is over."""
    shown = []
    for action in moves:
        observation, reward, terminated, truncated, info = env.step(action)
        shown.append(exact([observation, reward, terminated, truncated, info]))
        if terminated or truncated:
            break
    return shown


def test_every_registered_environment_is_asked() -> None:
    registered = {name for name in gymnasium.registry if name.startswith("olrl/")}
    assert registered == set(ENVIRONMENTS) == set(SETTINGS)


def test_all_environments_share_their_spaces() -> None:
    spaces = {(str(make(name).observation_space), str(make(name).action_space)) for name in ENVIRONMENTS}
    assert len(spaces) == 1


@pytest.mark.usefixtures("global_generators_untouched")
@pytest.mark.parametrize("name", ENVIRONMENTS)
class TestEveryEnvironment:
    def test_gymnasium_checker_is_silent(self, name: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_by_gymnasium(make(name, render_mode="rgb_array"))

    def test_stable_baselines3_checker_is_silent(self, name: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_by_sb3(make(name, render_mode="rgb_array"))

    def test_is_made_by_a_name_that_imports_it(self, name: str) -> None:
        assert gymnasium.make(f"olrl.envs:{name}", **SETTINGS[name]).spec is not None

    def test_arguments_are_json_able(self, name: str) -> None:
        spec = gymnasium.make(name, **SETTINGS[name]).spec
        assert spec is not None
        assert json.loads(json.dumps(spec.kwargs)) == spec.kwargs

    def test_an_unknown_argument_is_refused(self, name: str) -> None:
        with pytest.raises(TypeError, match="nonsense"):
            make(name, nonsense=1)

    def test_same_seed_same_bits(self, name: str) -> None:
        one, other = make(name), make(name)
        first, second = (env.reset(seed=7) for env in (one, other))
        assert exact(first) == exact(second)
        moves = actions(one, 30)
        assert play(one, moves) == play(other, moves)

    def test_the_next_episodes_follow_from_the_seed_too(self, name: str) -> None:
        one, other = make(name), make(name)
        for env in (one, other):
            env.reset(seed=7)
        play(one, actions(one, 3))  # how far an episode was played must not matter
        assert exact(one.reset()) == exact(other.reset())

    def test_another_seed_another_episode(self, name: str) -> None:
        env = make(name)
        assert exact(env.reset(seed=7)) != exact(env.reset(seed=8))

    def test_actions_are_left_as_they_were(self, name: str) -> None:
        env = make(name)
        env.reset(seed=7)
        moves = actions(env, 5)
        before = copy.deepcopy(moves)
        play(env, moves)
        assert exact(moves) == exact(before)

    def test_an_observation_handed_out_does_not_change_later(self, name: str) -> None:
        env = make(name)
        observation, _ = env.reset(seed=7)
        before = exact(observation)
        play(env, actions(env, 3))
        assert exact(observation) == before

    def test_a_snapshot_continues_to_the_bit(self, name: str) -> None:
        env, twin = make(name), make(name)
        env.reset(seed=7)
        moves = actions(env, 12)
        play(env, moves[:3])
        state = env.get_state()
        straight = play(env, moves[3:])
        twin.reset(seed=99)
        twin.set_state(state)
        assert play(twin, moves[3:]) == straight
        env.set_state(state)  # and back in time, in the environment itself
        assert play(env, moves[3:]) == straight

    def test_a_snapshot_does_not_move_with_its_environment(self, name: str) -> None:
        env = make(name)
        env.reset(seed=7)
        state = env.get_state()
        before = exact(state)
        play(env, actions(env, 4))
        assert exact(state) == before

    def test_two_environments_do_not_disturb_each_other(self, name: str) -> None:
        alone, one, other = make(name), make(name), make(name)
        for env, seed in ((alone, 6), (one, 6), (other, 8)):
            env.reset(seed=seed)
        moves = actions(alone, 6)
        expected = play(alone, moves)
        in_turns = []
        for action in moves:
            in_turns += play(one, [action])
            play(other, [np.ones(4, dtype=np.int64)])
        assert in_turns == expected

    def test_an_action_outside_the_space_is_refused(self, name: str) -> None:
        env = make(name)
        env.reset(seed=7)
        with pytest.raises(ValueError, match="action"):
            env.step(env.action_space.nvec)

    def test_steps_before_a_reset_or_after_the_end_are_refused(self, name: str) -> None:
        env = make(name)
        with pytest.raises(RuntimeError, match="reset"):
            env.step(np.ones(4, dtype=np.int64))
        env.reset(seed=7)
        play(env, actions(env, 1_000))
        with pytest.raises(RuntimeError, match="reset"):
            env.step(np.ones(4, dtype=np.int64))

    def test_both_renderings_show_something(self, name: str) -> None:
        text, image = make(name, render_mode="ansi"), make(name, render_mode="rgb_array")
        for env in (text, image):
            env.reset(seed=7)
            play(env, actions(env, 3))
        assert text.render().strip()
        pixels = image.render()
        assert pixels.dtype == np.uint8
        assert pixels.shape[2] == 3
        assert pixels.std() > 0
