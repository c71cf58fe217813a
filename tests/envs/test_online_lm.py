from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from olrl.envs.online_lm import OnlineLMEnv

ROUNDS = 6
# Under the coding "anchored", whose first head names a rate on the ladder around the base.
DIVERGE = np.array([12, 0, 0, 1])
SKIP, SLOWEST, WASTEFUL = np.array([0, 3, 0, 0]), np.array([0, 3, 0, 1]), np.array([0, 6, 7, 1])


@pytest.fixture(scope="module")
def env() -> OnlineLMEnv:
    """SGD at base rates wrong by up to 2^14: under AdamW no rate gets these models 50 times above their loss."""
    return OnlineLMEnv(
        rounds=ROUNDS,
        n_streams=1,
        chunk=4,
        coding="anchored",
        optimizer="sgd",
        ranges={"base_lr_octaves": 14.0, "base_free": 0.0, "price": [0.1, 0.1], "update_cost": [16.0, 16.0]},
    )


def play(env: OnlineLMEnv, actions: list[NDArray[np.int64]], *, seed: int) -> list[tuple[Any, ...]]:
    """The steps of one episode."""
    env.reset(seed=seed)
    steps: list[tuple[Any, ...]] = []
    for action in actions:
        steps.append(env.step(action))
        if steps[-1][2]:
            break
    return steps


def test_deliberate_failure_never_pays(env: OnlineLMEnv) -> None:
    """Neither at once nor as a way out of a bad episode."""
    failed = set()
    for seed in range(12):
        going_on = [play(env, [action] * ROUNDS, seed=seed) for action in (SKIP, SLOWEST, WASTEFUL)]
        worst = min(sum(step[1] for step in steps) for steps in going_on if not steps[-1][2])
        for healthy in (0, 3, ROUNDS - 1):
            diverging = play(env, [SKIP] * healthy + [DIVERGE] * (ROUNDS - healthy), seed=seed)
            _, _, terminated, truncated, info = diverging[-1]
            if not terminated:
                continue
            failed.add(healthy)
            assert not truncated
            assert sum(step[1] for step in diverging) < worst
            # 5 is where the loss's part of a reward is clipped, 80 / 64 the most of its budget a round can spend
            left = ROUNDS - len(diverging) + 1
            assert diverging[-1][1] < -left * (5 + 10 * info["record"].signals.price * 80 / 64)
    assert failed == {0, 3, ROUNDS - 1}


def test_the_reference_does_not_depend_on_what_is_done_or_drawn(env: OnlineLMEnv) -> None:
    def references(action: NDArray[np.int64], seed: int) -> list[float]:
        return [step[4]["reference_nats"] for step in play(env, [action] * ROUNDS, seed=seed)]

    assert references(SKIP, 0) == references(SLOWEST, 0) == references(SKIP, 1)


def test_a_learner_that_never_trains_scores_the_shipped_weights(env: OnlineLMEnv) -> None:
    """Whatever an earlier episode did to the learner, the next one starts from the shipped weights."""
    fresh = [step[4]["loss_nats"] for step in play(env, [SKIP] * ROUNDS, seed=0)]
    play(env, [WASTEFUL] * ROUNDS, seed=1)
    assert [step[4]["loss_nats"] for step in play(env, [SKIP] * ROUNDS, seed=0)] == fresh


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rounds": 0}, "rounds and n_streams must be at least 1, not 0 and 64"),
        ({"split": "exam"}, "split must be one of"),
        ({"optimizer": "adam"}, "adam"),
        ({"coding": "nonsense"}, "nonsense"),
        ({"model": "./nowhere"}, "nowhere"),
        ({"ranges": {"nonsense": 1}}, "ranges: .*nonsense"),
        ({"reward": {"nonsense": 1}}, "reward: .*nonsense"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OnlineLMEnv(**settings)
