import numpy as np
import pytest

from olrl.control.actions import action_coding
from olrl.control.decision import Base
from olrl.control.explain import KNOBS, explain, leanings
from olrl.control.policy import FrozenPolicy, load_policy
from olrl.monitor.feature_spec import FEATURE_NAMES
from olrl.monitor.signals import Signals

N = len(FEATURE_NAMES)


def linear(*, output: str = "heads") -> FrozenPolicy:
    """Its logit of a higher rate grows by 3 for each unit of `rise`, and of skipping by 1 for each of `price`."""
    coding = action_coding("moves")
    count = sum(coding.nvec) if output == "heads" else int(np.prod(coding.nvec))
    weight = np.zeros((count, N), dtype=np.float32)
    if output == "heads":
        weight[2, FEATURE_NAMES.index("rise")] = 3.0
        weight[9, FEATURE_NAMES.index("price")] = 1.0
    else:
        up = np.unravel_index(np.arange(count), coding.nvec)[0] == 2
        weight[up, FEATURE_NAMES.index("rise")] = 3.0
    return FrozenPolicy(
        layers=[(weight, np.zeros(count, dtype=np.float32))],
        mean=np.zeros(N),
        std=np.full(N, 2.0),
        coding=coding,
        output=output,  # type: ignore[arg-type] # given by the tests
    )


def test_what_features_add_is_known_for_a_linear_policy() -> None:
    observation = np.zeros(N, dtype=np.float32)
    observation[FEATURE_NAMES.index("rise")] = 4.0
    observation[FEATURE_NAMES.index("price")] = 1.0
    explanation = explain(linear(), observation)
    assert explanation.strongest("lr", 1) == {"rise": pytest.approx(6.0)}  # 3 × 4 / 2, the upper logit's
    assert explanation.strongest("update", 1) == {"price": pytest.approx(-0.5)}
    assert np.count_nonzero(explanation.values[KNOBS.index("window")]) == 0
    assert explanation.by_group("lr")["loss"] == pytest.approx(6.0)


def test_a_joint_output_is_read_knob_by_knob() -> None:
    observation = np.zeros(N, dtype=np.float32)
    observation[FEATURE_NAMES.index("rise")] = 4.0
    explanation = explain(linear(output="joint"), observation)
    assert explanation.strongest("lr", 1) == {"rise": pytest.approx(6.0)}
    assert np.abs(explanation.values[1:]).max() < 1e-12


def test_what_features_add_sums_to_the_difference_from_the_average_situation() -> None:
    policy = load_policy("default")
    observation = np.random.default_rng(0).normal(size=N).clip(-5, 5).astype(np.float32)
    both = np.stack([observation, policy.mean.astype(np.float32)])
    there, average = policy.logits(both).astype(np.float64) @ leanings(policy).T
    added = explain(policy, observation).values.sum(axis=1)
    assert added == pytest.approx(there - average, abs=5e-3)
    assert np.abs(added).max() > 0.1


def test_a_controller_explains_its_last_decision_only_after_one() -> None:
    controller = load_policy("default").controller(base=Base(lr=1e-3))
    assert controller.explain() is None
    controller.decide(Signals(loss_nats=2.0, lr=1e-3, batch_size=8, window=8))
    explanation = controller.explain()
    assert explanation is not None
    assert explanation.values.shape == (4, N)


def test_an_observation_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="an observation is of shape"):
        explain(linear(), np.zeros(3))
