from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from olrl.control.decision import BATCH_SIZES, WINDOWS
from olrl.envs.drifting_quadratic import DriftingQuadraticEnv
from olrl.envs.quadratic_problem import draw_problem
from olrl.monitor.feature_spec import FEATURE_NAMES

STAY = np.array([1, 1, 1, 1])
SKIP = np.array([1, 1, 1, 0])


def play(env: DriftingQuadraticEnv, action: NDArray[np.int64], **reset: Any) -> list[tuple[Any, ...]]:
    """All steps of one episode under one action."""
    env.reset(**reset)
    steps: list[tuple[Any, ...]] = []
    while not steps or not (steps[-1][2] or steps[-1][3]):
        steps.append(env.step(action))
    return steps


def test_the_reward_is_that_of_the_chunk_after_the_decision() -> None:
    env = DriftingQuadraticEnv(rounds=10, randomisation={"priced": 1.0})
    _, info = env.reset(seed=3)
    references = [info["reference_nats"]]
    for _ in range(10):
        _, reward, _, _, info = env.step(STAY)
        record = info["record"]
        references.append(info["reference_nats"])
        running = np.mean(references)  # plain, being younger than 30 rounds
        saved = np.clip(10 * (info["reference_nats"] - info["loss_nats"]) / running, -5, 5)
        cost = 10 * record.signals.price * record.spent / 64
        assert reward == pytest.approx(saved - cost)
        assert info["loss_nats"] != record.loss_nats  # the record is of the chunk before


def test_the_reference_does_not_depend_on_what_is_done() -> None:
    env = DriftingQuadraticEnv(rounds=15)
    one, other = ([step[4]["reference_nats"] for step in play(env, a, seed=3)] for a in (STAY, SKIP))
    assert one == other


def test_the_reference_is_beaten_by_nobody_who_never_learns() -> None:
    env = DriftingQuadraticEnv(rounds=60, randomisation={"priced": 0.0})
    returns = [sum(step[1] for step in play(env, SKIP, seed=seed)) for seed in range(8)]
    assert np.median(returns) < 0


def test_a_learner_that_runs_the_reference_earns_nothing() -> None:
    env = DriftingQuadraticEnv(
        rounds=30, coding="positions", randomisation={"lr_octaves": 0.0, "priced": 0.0, "adamw": 1.0}
    )
    _, info = env.reset(seed=4)
    reference = draw_problem(info["episode_seed"], env.randomisation, rounds=30).reference
    action = np.array([1, BATCH_SIZES.index(reference.batch_size), WINDOWS.index(reference.window), 1])
    steps = play(env, action, seed=4)
    assert [step[1] for step in steps] == [0.0] * 30


def test_skipping_spends_nothing_and_changes_nothing() -> None:
    env = DriftingQuadraticEnv(rounds=10)
    steps = play(env, SKIP, seed=3)
    assert {step[4]["record"].spent for step in steps} == {0.0}
    assert {step[4]["record"].report.updates for step in steps} == {0}


def test_what_a_surrogate_cannot_measure_is_masked_for_the_policy() -> None:
    env = DriftingQuadraticEnv(rounds=10)
    for step in play(env, STAY, seed=3):
        assert step[0][FEATURE_NAMES.index("no_hist_shift")] == 1
        assert step[0][FEATURE_NAMES.index("hist_shift")] == 0


def test_deliberate_failure_never_pays() -> None:
    """The highest rate on SGD diverges: it must earn less than the worst that can be done without failing."""
    env = DriftingQuadraticEnv(
        rounds=40, coding="anchored", randomisation={"adamw": 0.0, "priced": 1.0, "update_cost": [16.0, 16.0]}
    )
    wasteful, lowest = np.array([0, 6, 7, 1]), np.array([0, 3, 0, 0])
    failures = 0
    for seed in range(12):
        diverging = play(env, np.array([12, 0, 0, 1]), seed=seed)
        terminated, truncated = diverging[-1][2:4]
        if not terminated:
            continue
        failures += 1
        assert not truncated
        returned = sum(step[1] for step in diverging)
        rest = [sum(step[1] for step in play(env, action, seed=seed)) for action in (wasteful, lowest, SKIP)]
        assert returned < min(rest)
        # and the failure itself less than all rounds left at the worst possible reward
        price = diverging[0][4]["record"].signals.price
        rounds_left = 40 - len(diverging) + 1
        assert diverging[-1][1] < -rounds_left * (5 + 10 * price * 80 / 64)
    assert failures >= 6


def test_no_sooner_and_no_later_failure_pays_either() -> None:
    """Failing in the last round must not be a way out of a bad episode."""
    env = DriftingQuadraticEnv(rounds=12, coding="anchored", randomisation={"adamw": 0.0})
    diverge, rest = np.array([12, 0, 0, 1]), np.array([0, 3, 3, 1])
    for seed in range(6):
        for healthy in (0, 5, 10):
            env.reset(seed=seed)
            failed, alive = 0.0, 0.0
            for k in range(12):
                _, reward, terminated, _, _ = env.step(rest if k < healthy else diverge)
                failed += reward
                if terminated:
                    break
            else:
                continue
            alive = sum(step[1] for step in play(env, rest, seed=seed))
            assert failed < alive


def test_an_episode_is_named_by_its_seed() -> None:
    env = DriftingQuadraticEnv(rounds=5)
    first, info = env.reset(seed=3)
    again, _ = env.reset(options={"episode_seed": info["episode_seed"]})
    assert (first == again).all()


@pytest.mark.parametrize("seed", [-1, 2**63, "three"])
def test_an_episode_seed_outside_its_range_is_refused(seed: object) -> None:
    with pytest.raises(ValueError, match="episode_seed"):
        DriftingQuadraticEnv().reset(options={"episode_seed": seed})


def test_the_truth_is_told_and_consistent() -> None:
    env = DriftingQuadraticEnv(rounds=80, randomisation={"adamw": 1.0, "lr_octaves": 0.0})
    losses, expected = [], []
    for step in play(env, STAY, seed=8):
        truth = step[4]["truth"]
        losses.append(step[4]["loss_nats"])
        expected.append(truth["irreducible_nats"] + truth["excess_nats"])
        assert truth["kalman_nats"] > 0
    assert np.mean(losses) == pytest.approx(np.mean(expected), rel=0.05)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rounds": 0}, "round"),
        ({"coding": "nonsense"}, "coding"),
        ({"randomisation": {"nonsense": 1}}, "nonsense"),
        ({"render_mode": "human"}, "render_mode"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DriftingQuadraticEnv(**settings)


def test_a_coding_of_regularisation_trains_on_language_models_only() -> None:
    with pytest.raises(ValueError, match="trains on language models only"):
        DriftingQuadraticEnv(coding="moves-regularised")
