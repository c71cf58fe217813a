import numpy as np

from olrl.envs.quadratic_problem import DETECTORS
from olrl.envs.surrogate_alarms import raise_alarms
from olrl.envs.surrogate_state import ROW, empty_surrogates
from olrl.monitor.detectors import DetectorBank


def test_alarms_are_those_of_the_detectors_on_the_same_losses() -> None:
    """Long enough for detectors to start anew from their newest inputs; losses jump, and some are missing."""
    n, rounds = 6, 1_500
    rng = np.random.default_rng(0)
    losses = np.exp(0.05 * rng.standard_normal((n, rounds)))
    losses[:4] *= np.exp(0.4 * (rng.random((4, rounds)) < 0.01).cumsum(axis=1) * rng.choice([-1, 1], (4, 1)))
    losses[rng.random((n, rounds)) < 0.01] = np.nan
    state = empty_surrogates(n, dimension=2, rounds=1)
    state.signals[ROW["rounds_since_alarm"]] = 0.0
    banks = [DetectorBank(DETECTORS) for _ in range(n)]
    since, fired = np.zeros(n), 0
    for t in range(rounds):
        state.tasks["t"] = t
        state.signals[ROW["loss_nats"]] = losses[:, t]
        raise_alarms(state, np.arange(n))
        expected = [
            len(bank.update(None if np.isnan(loss) else float(loss)))
            for bank, loss in zip(banks, losses[:, t], strict=True)
        ]
        np.testing.assert_array_equal(state.signals[ROW["alarms"]], expected)
        since = np.where(expected, 0.0, since + (t > 0))
        np.testing.assert_array_equal(state.signals[ROW["rounds_since_alarm"]], since)
        fired += sum(expected)
    assert fired > 50
    assert state.detectors.remembered.max() > 256
