import json

import numpy as np

from olrl.monitor.innovations import CLIP, Innovations


def test_what_autocorrelation_explains_is_taken_out() -> None:
    rng = np.random.default_rng(0)
    value, seen = 0.0, []
    innovations = Innovations()
    for _ in range(2_000):
        value = 0.8 * value + 0.06 * rng.standard_normal()
        seen.append(innovations.update(2.0 * np.exp(value)))
    z = np.array(seen[100:])
    assert abs(np.corrcoef(z[:-1], z[1:])[0, 1]) < 0.1
    assert 0.8 < z.std() < 1.2


def test_a_jump_is_bounded_and_does_not_widen_the_measure_for_what_follows() -> None:
    innovations = Innovations()
    rng = np.random.default_rng(1)
    for _ in range(200):
        innovations.update(2.0 + 0.05 * rng.standard_normal())
    assert innovations.update(200.0) == CLIP
    for _ in range(60):
        innovations.update(2.0 + 0.05 * rng.standard_normal())
    assert innovations.update(3.0) == CLIP


def test_losses_of_zero_and_below_keep_it_finite() -> None:
    innovations = Innovations()
    assert all(abs(innovations.update(loss)) <= CLIP for loss in (0.0, -1.0, 1e300, 0.0, 5e-324))


def test_saved_state_continues_to_the_same_bits() -> None:
    one, other = Innovations(), Innovations()
    for loss in (2.0, 2.5, 1.9, 2.2):
        one.update(loss)
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert [one.update(x) for x in (3.0, 2.0)] == [other.update(x) for x in (3.0, 2.0)]
