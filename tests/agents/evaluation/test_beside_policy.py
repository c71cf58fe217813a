from olrl.agents.evaluation.beside_policy import beside_table
from tests.agents.evaluation.tables_by_hand import rows

# The policy from the right base on three streams and from a wrong one on two; `hypergradient` too, `base` on all.
RUNS = [
    *rows("policy", {"a": 1.8, "b": 4.4, "c": 3.3}, policy_seed=0),
    *rows("policy", {"a": 1.0, "b": 3.0}, policy_seed=0, base_lr_mult=8.0),
    *rows("base", {"a": 2.0, "b": 4.0, "c": 3.0}),
    *rows("base", {"a": 2.0, "b": 6.0, "c": 9.0}, base_lr_mult=8.0),
    *rows("never", {"a": 2.0, "b": 4.0, "c": 3.0}),
    *rows("drift-reset", {"a": 2.0, "b": 4.0}),
]


def test_each_entrant_is_paired_with_the_policy_from_each_base_on_the_streams_of_both() -> None:
    heads, told = beside_table(RUNS)
    assert heads == ["the policy against", "base lr x1", "base lr x8"]
    cells = {row[0]: row[1:] for row in told}
    # -10, +10 and +10 %: the interquartile mean of three drops none. From x8 -50 % on both.
    assert cells["base"][0].startswith("+3.33 [")
    assert cells["base"][1].startswith("-50.00 [-50.00, -50.00]")
    assert cells["never"][1].startswith("-37.50 [")  # the same whatever the base: -50 and -25 %
    assert "drift-reset" not in cells  # it did not run on all of the policy's streams
    assert "policy" not in cells


def test_without_a_policy_there_is_nothing_to_pair() -> None:
    assert beside_table(rows("base", {"a": 1.0}))[1] == []


def test_one_that_was_not_run_from_a_base_has_an_empty_cell_there() -> None:
    ours = [
        *rows("policy", {"a": 1.8}, policy_seed=0),
        *rows("policy", {"a": 1.8}, policy_seed=0, base_lr_mult=8.0),
    ]
    _, [[name, right, wrong]] = beside_table([*ours, *rows("base", {"a": 2.0})])
    assert name == "base"
    assert right.startswith("-10.00")
    assert wrong == ""
