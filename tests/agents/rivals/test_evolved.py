import pytest

from olrl.agents.rivals.evolved import FEATURES, PARAMETERS, START, Evolved
from olrl.control.decision import Base
from tests.control.rounds import usual

BASE = Base(lr=1e-3, batch_size=3, window=8)


def weights(**biases: float) -> list[float]:
    """No feature counts; only the biases of these knobs."""
    row = len(FEATURES) + 1
    made = [0.0] * PARAMETERS
    for knob, place in (("rate", 0), ("window", 1), ("batch", 2)):
        made[row * place + row - 1] = biases.get(knob, 0.0)
    return made


def test_it_has_no_more_than_thirty_parameters() -> None:
    assert PARAMETERS == len(START) <= 30


def test_each_score_moves_its_own_knob_up_to_the_bounds() -> None:
    still, rate, window, batch = (
        [Evolved(weights(**{knob: bias}), base=BASE) for knob, bias in biases.items()]
        for biases in ({"rate": 0.0}, {"rate": 9.0}, {"window": 2.0}, {"batch": -2.0})
    )

    def last(controllers: list[Evolved]) -> tuple[float, int, int]:
        for k in range(20):
            decision = controllers[0].decide(usual(k))
        return round(decision.lr / BASE.lr, 6), decision.batch_size, decision.window

    assert last(still) == (1, 3, 8)
    assert last(rate) == (64, 3, 8)
    assert last(window) == (1, 3, 0)
    assert last(batch) == (1, 2, 8)  # 3, 1.5


def test_weights_of_another_number_are_refused() -> None:
    with pytest.raises(ValueError, match="27 finite numbers"):
        Evolved([0.0] * 5, base=BASE)
