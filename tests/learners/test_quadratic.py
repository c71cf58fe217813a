import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from olrl.control.decision import Decision
from olrl.learners.quadratic import QuadraticLearner


def learner(optimizer: str = "sgd") -> QuadraticLearner:
    return QuadraticLearner(start=np.array([3.0, 4.0]), curvature=np.array([1.0, 0.25]), optimizer=optimizer)


def rows(*targets: tuple[float, float], floor: float = 0.0) -> NDArray[np.float64]:
    """Examples: targets with their floor behind."""
    return np.array([[*target, floor] for target in targets])


ORIGIN = (0.0, 0.0)


def decision(lr: float, batch_size: int = 1) -> Decision:
    return Decision(lr=lr, batch_size=batch_size, window=1)


def test_adamw_is_the_adamw_of_pytorch() -> None:
    mine = learner("adamw")
    theirs = torch.tensor([3.0, 4.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.AdamW([theirs], lr=0.05, weight_decay=0.1)
    h = torch.tensor([1.0, 0.25], dtype=torch.float64)
    targets = np.random.default_rng(0).standard_normal((20, 4, 2))
    floors = np.ones((20, 4, 1))
    for batch in targets:
        optimizer.zero_grad()
        (0.5 * (h * (theirs - torch.from_numpy(batch)) ** 2).sum(dim=1)).mean().backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        optimizer.step()
    mine.update(
        iter(np.concatenate([targets, floors], axis=2)),
        Decision(lr=0.05, batch_size=4, window=1, weight_decay=0.1),
    )
    np.testing.assert_allclose(mine.parameters, theirs.detach().numpy(), rtol=1e-12)


def test_figures_worked_out_by_hand() -> None:
    one = learner()
    report = one.update(iter([rows(ORIGIN, floor=1.0)]), decision(0.5))
    # gradient (3, 1), loss 1 + (9 + 0.25 * 16) / 2, move (-1.5, -0.5)
    assert report.train_loss_nats == 7.5
    assert report.grad_norm == pytest.approx(np.sqrt(10))
    assert report.grad_cos is None
    assert report.grad_snr is None
    assert report.update_ratio == pytest.approx(np.sqrt(2.5) / 5)
    # now at (1.5, 3.5): gradient (1.5, 0.875) against the move before
    again = one.update(iter([rows(ORIGIN)]), decision(0.5))
    expected = (1.5 * 1.5 + 0.875 * 0.5) / (np.hypot(1.5, 0.875) * np.sqrt(2.5))
    assert again.grad_cos == pytest.approx(expected)


def test_the_cosine_is_taken_with_the_whole_round_before_not_its_last_step() -> None:
    one = learner()
    one.update(iter([rows((1.0, 4.0)), rows((2.0, 0.0))]), decision(1.0))
    # moves (-2, 0), then (+1, -1): together (-1, -1); now at (2, 3) with the gradient (2, 0.75)
    report = one.update(iter([rows(ORIGIN)]), decision(1.0))
    assert report.grad_cos == pytest.approx((2 + 0.75) / (np.hypot(2, 0.75) * np.sqrt(2)))


def test_signal_to_noise_from_halves_worked_out_by_hand() -> None:
    batch = rows((2.0, 4.0), (0.0, 4.0))  # gradients (1, 0) and (3, 0)
    report = learner().update(iter([batch]), decision(0.1, 2))
    assert report.grad_snr == pytest.approx(3.0 / (4.0 / 2))


def test_signal_to_noise_of_single_examples_from_two_steps() -> None:
    batches = [rows((2.0, 4.0)), rows((0.0, 4.0))]  # at a rate of 0.5: gradients (1, 0), (2.5, 0)
    report = learner().update(iter(batches), decision(0.5))
    assert report.grad_snr == pytest.approx(2.5 / (1.5**2 / 2))


def test_a_step_that_is_not_finite_is_not_taken_and_is_counted() -> None:
    one = learner()
    bad = rows((np.inf, np.inf))
    report = one.update(iter([rows(ORIGIN), bad, rows(ORIGIN)]), decision(0.5))
    assert (report.updates, report.nonfinite) == (2, 1)
    assert np.isfinite(one.parameters).all()


def test_a_diverging_learner_stops_being_trained_instead_of_overflowing() -> None:
    one = learner()
    report = one.update(iter([rows(ORIGIN)] * 100), decision(1e3))
    assert report.nonfinite > 50
    assert np.isinf(one.score(rows(ORIGIN))).all()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_saved_learner_continues_to_the_bit(optimizer: str) -> None:
    batches = list(np.random.default_rng(1).standard_normal((6, 4, 3)))
    one, other = learner(optimizer), learner(optimizer)
    one.update(iter(batches[:3]), decision(0.1, 4))
    other.load_state_dict(one.state_dict())
    assert one.update(iter(batches[3:]), decision(0.1, 4)) == other.update(
        iter(batches[3:]), decision(0.1, 4)
    )
    assert (one.parameters == other.parameters).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"start": np.zeros(2), "curvature": np.zeros(3)}, "share a shape"),
        ({"start": np.zeros(2), "curvature": np.array([1.0, 0.0])}, "positive"),
        ({"start": np.zeros(2), "curvature": np.ones(2), "optimizer": "lion"}, "adamw or sgd"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        QuadraticLearner(**settings)  # type: ignore[arg-type] # wrong on purpose
