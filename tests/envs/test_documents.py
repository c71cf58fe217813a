import numpy as np
import pytest

from olrl.envs.documents import DocumentRandomisation, Documents, draw_documents


def documents(seed: int = 0, **settings: tuple[float, float]) -> Documents:
    return draw_documents(
        np.random.default_rng(seed),
        DocumentRandomisation(**settings),
        rounds=2_000,
        chunk=16,
        jump=3.0,
        direction=np.full(4, 0.5),
    )


def test_documents_last_as_long_as_said_and_may_end_within_a_chunk() -> None:
    lengths = np.bincount(documents(rounds=(1.5, 1.5)).number.ravel())
    assert lengths.mean() == pytest.approx(1.5 * 16, rel=0.1)
    assert (np.cumsum(lengths) % 16 > 0).mean() > 0.8


def test_their_optima_lie_as_far_from_the_domains_as_said() -> None:
    drawn = documents(offset=(0.5, 0.5))
    assert np.square(drawn.offset).sum(axis=1).mean() == pytest.approx((0.5 * 3.0) ** 2, rel=0.1)
    np.testing.assert_allclose(drawn.variance, (0.5 * 3.0 * 0.5) ** 2)


def test_floors_differ_by_document_as_much_as_said_about_a_mean_of_one() -> None:
    drawn = documents(level=(0.2, 0.2), unevenness=(0.4, 0.4))
    centred = drawn.log_floor + 0.5 * drawn.spread**2
    assert centred.std() == pytest.approx(0.2, rel=0.1)
    assert np.exp(centred).mean() == pytest.approx(1.0, rel=0.03)
    assert np.log(drawn.spread).std() == pytest.approx(0.4, rel=0.1)


def test_the_shares_of_a_round_are_its_examples_by_document() -> None:
    drawn = documents(rounds=(0.4, 0.4))
    numbers, counts = drawn.shares(3)
    assert counts.sum() == 16
    assert list(np.repeat(numbers, counts)) == list(drawn.number[3])


def test_ranges_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="offset"):
        DocumentRandomisation(offset=(2.0, 1.0))
