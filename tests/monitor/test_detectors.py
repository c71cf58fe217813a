import json
import math

import numpy as np
import pytest

from olrl.monitor.detectors import DETECTORS, DetectorBank


def losses(
    seed: int, *, jump: float = 0.0, phi: float = 0.5, rounds: int = 400, noise: float = 0.05
) -> list[float]:
    """A loss that falls from 3.7 towards 2.2 under AR(1) noise; log loss jumps at round 200 and recovers."""
    rng = np.random.default_rng(seed)
    steps = rng.standard_normal(rounds) * noise * math.sqrt(1 - phi * phi)
    wander, out = 0.0, []
    for t in range(rounds):
        wander = phi * wander + steps[t]
        risen = jump * math.exp(-(t - 200) / 12) if t >= 200 else 0.0
        out.append((2.2 + 1.5 * math.exp(-t / 60)) * math.exp(wander + risen))
    return out


def alarms(bank: DetectorBank, series: list[float]) -> list[tuple[int, tuple[str, ...]]]:
    return [(t, fired) for t, loss in enumerate(series) if (fired := bank.update(loss))]


def test_a_jump_raises_the_alarm_at_a_known_round() -> None:
    found = alarms(DetectorBank(("adwin", "page-hinkley")), losses(3, jump=0.5))
    assert found[:2] == [(201, ("adwin",)), (290, ("page-hinkley",))]


def test_kswin_notices_that_noise_turned_into_bursts() -> None:
    series = losses(5, rounds=200) + losses(6, rounds=280, noise=0.2)[200:]
    found = alarms(DetectorBank(("kswin",)), series)
    assert found == [(209, ("kswin",))]


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.8])
def test_autocorrelated_noise_without_drift_rarely_alarms(phi: float) -> None:
    found = sum(len(alarms(DetectorBank(("adwin", "page-hinkley")), losses(s, phi=phi))) for s in range(20))
    assert found <= 24  # of 8,000 rounds; the same detectors on log losses as they are raise 150 to 280


def test_most_jumps_are_found_within_a_few_rounds() -> None:
    def found_soon(seed: int) -> bool:
        found = alarms(DetectorBank(("adwin", "page-hinkley")), losses(seed, jump=0.5))
        return any(200 <= t < 206 for t, _ in found)

    assert sum(map(found_soon, range(20))) >= 18


@pytest.mark.parametrize("cut", [1, 30, 199, 201, 700])
def test_a_loaded_bank_raises_the_same_later_alarms(cut: int) -> None:
    # 1,100 rounds: past the point at which detectors restart from their newest inputs.
    series = losses(1, jump=0.5) + losses(2, jump=0.5) + losses(4, jump=0.5)[:300]
    bank = DetectorBank()
    alarms(bank, series[:cut])
    loaded = DetectorBank()
    loaded.load_state_dict(json.loads(json.dumps(bank.state_dict())))
    assert alarms(loaded, series[cut:]) == alarms(bank, series[cut:])


def test_a_copy_does_not_share_what_its_original_learns() -> None:
    bank = DetectorBank(("adwin", "page-hinkley"))
    alarms(bank, losses(1)[:100])
    twin = bank.copy()
    before = twin.state_dict()
    alarms(bank, [5.0] * 10)
    assert twin.state_dict() == before


def test_a_bank_does_not_grow_with_the_stream() -> None:
    bank = DetectorBank(("adwin", "page-hinkley"))
    alarms(bank, [2.0 + 0.001 * (t % 7) for t in range(3_000)])
    assert all(len(history) < 512 for history in bank.state_dict()["histories"].values())


def test_a_loss_that_is_not_finite_is_refused_and_poisons_nothing() -> None:
    bank = DetectorBank(DETECTORS)
    alarms(bank, losses(0)[:50])
    before = bank.state_dict()
    with pytest.raises(ValueError, match="finite"):
        bank.update(math.nan)
    assert bank.state_dict() == before


def test_an_unknown_detector_and_another_banks_state_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown drift detector 'ddm'"):
        DetectorBank(("ddm",))
    with pytest.raises(ValueError, match="cannot continue"):
        DetectorBank(("adwin",)).load_state_dict(DetectorBank(("kswin",)).state_dict())
