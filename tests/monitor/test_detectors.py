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


def found_soon(names: tuple[str, ...], seed: int, *, jump: float) -> bool:
    """Whether one of the detectors fires within six rounds of the jump."""
    return any(200 <= t < 206 for t, _ in alarms(DetectorBank(names), losses(seed, jump=jump)))


def test_the_detector_of_rises_finds_small_ones_that_the_others_miss() -> None:
    assert sum(found_soon(("page-hinkley-rise",), seed, jump=0.15) for seed in range(20)) >= 13
    assert sum(found_soon(("adwin", "page-hinkley"), seed, jump=0.15) for seed in range(20)) <= 3


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.8])
def test_the_detector_of_rises_keeps_quiet_on_noise_without_drift(phi: float) -> None:
    found = sum(len(alarms(DetectorBank(("page-hinkley-rise",)), losses(s, phi=phi))) for s in range(20))
    assert found <= 100  # of 8,000 rounds


def shifts(seed: int, *, factor: float) -> list[float]:
    """A token shift of about 0.2 that is `factor` times as large in rounds 40 to 46."""
    rng = np.random.default_rng(seed)
    usual = 0.2 * np.exp(0.15 * rng.standard_normal(100))
    usual[40:47] *= factor
    return [float(shift) for shift in usual]


def test_another_kind_of_text_raises_the_alarm_of_the_tokens_at_a_known_round() -> None:
    bank = DetectorBank(("page-hinkley-tokens",))
    found = [
        (t, fired) for t, shift in enumerate(shifts(1, factor=2.5)) if (fired := bank.update(2.0, shift))
    ]
    assert found == [(40, ("page-hinkley-tokens",))]


def test_the_alarm_of_the_tokens_neither_needs_the_loss_nor_heeds_it() -> None:
    with_loss, without = DetectorBank(("page-hinkley-tokens",)), DetectorBank(("page-hinkley-tokens",))
    series = shifts(2, factor=2.5)
    noticed = [with_loss.update(loss, shift) for loss, shift in zip(losses(3)[:100], series, strict=True)]
    assert noticed == [without.update(None, shift) for shift in series]
    assert any(noticed)


def test_detectors_of_the_loss_neither_need_tokens_nor_heed_them() -> None:
    names = ("adwin", "page-hinkley", "kswin", "page-hinkley-rise")
    with_tokens, without = DetectorBank(names), DetectorBank(names)
    series = losses(3, jump=0.5)[:260]
    noticed = [with_tokens.update(loss, 0.1 + t % 7) for t, loss in enumerate(series)]
    assert noticed == [without.update(loss) for loss in series]


def test_a_round_in_which_nothing_was_measured_changes_nothing() -> None:
    bank = DetectorBank()
    for loss, shift in zip(losses(0), shifts(0, factor=1.0), strict=False):
        bank.update(loss, shift)
    before = bank.state_dict()
    assert bank.update(None) == ()
    assert bank.state_dict() == before


def test_equal_chunks_and_then_one_other_token_are_no_drift() -> None:
    bank = DetectorBank(("page-hinkley-tokens",))
    assert not any(bank.update(None, shift) for shift in [0.0] * 50 + [0.008] * 5)


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.8])
def test_autocorrelated_noise_without_drift_rarely_alarms(phi: float) -> None:
    found = sum(len(alarms(DetectorBank(("adwin", "page-hinkley")), losses(s, phi=phi))) for s in range(20))
    assert found <= 24  # of 8,000 rounds; the same detectors on log losses as they are raise 150 to 280


def test_most_jumps_are_found_within_a_few_rounds() -> None:
    assert sum(found_soon(("adwin", "page-hinkley"), seed, jump=0.5) for seed in range(20)) >= 18


@pytest.mark.parametrize("cut", [1, 30, 199, 201, 700])
def test_a_loaded_bank_raises_the_same_later_alarms(cut: int) -> None:
    # 1,100 rounds: past the point at which detectors restart from their newest inputs.
    series = losses(1, jump=0.5) + losses(2, jump=0.5) + losses(4, jump=0.5)[:300]
    bank = DetectorBank()
    moved = shifts(1, factor=2.5) * 11
    rounds = list(zip(series, moved, strict=True))
    for loss, shift in rounds[:cut]:
        bank.update(loss, shift)
    loaded = DetectorBank()
    loaded.load_state_dict(json.loads(json.dumps(bank.state_dict())))
    assert [loaded.update(*given) for given in rounds[cut:]] == [
        bank.update(*given) for given in rounds[cut:]
    ]


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
    for loss in losses(0)[:50]:
        bank.update(loss, 0.2)
    before = bank.state_dict()
    with pytest.raises(ValueError, match="finite"):
        bank.update(math.nan)
    with pytest.raises(ValueError, match="finite"):
        bank.update(2.0, math.inf)
    assert bank.state_dict() == before


def test_an_unknown_detector_and_another_banks_state_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown drift detector 'ddm'"):
        DetectorBank(("ddm",))
    with pytest.raises(ValueError, match="cannot continue"):
        DetectorBank(("adwin",)).load_state_dict(DetectorBank(("kswin",)).state_dict())
