import pytest
from hypothesis import given
from hypothesis import strategies as st

from olrl.learners.cost import CostModel


@given(update_cost=st.floats(0, 100), budget=st.floats(0.5, 1000), batch_size=st.integers(1, 64))
def test_a_budget_is_never_overspent_but_by_one_update_that_does_not_fit(
    update_cost: float, budget: float, batch_size: int
) -> None:
    cost = CostModel(update_cost=update_cost, budget=budget)
    updates = cost.updates(batch_size)
    assert updates >= 1
    assert cost.spent(batch_size) <= budget * (1 + 1e-9) or updates == 1
    assert cost.spent(batch_size, updates + 1) > budget * (1 - 1e-9)


@pytest.mark.parametrize(("name", "value"), [("update_cost", -1), ("budget", 0), ("budget", float("nan"))])
def test_impossible_costs_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        CostModel(**{name: value})
