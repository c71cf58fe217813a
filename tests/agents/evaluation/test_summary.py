import pytest

from olrl.agents.evaluation.robustness import cost_of_a_wrong_base
from olrl.agents.evaluation.summary import summarise
from olrl.agents.evaluation.tables import (
    difference_table,
    kind_table,
    label,
    loss_table,
    markdown,
    score_table,
)
from tests.agents.evaluation.tables_by_hand import rows

FIXED = rows("fixed", {"still": 2.0, "a": 2.0, "b": 4.0})
BEST = rows("segment-best", {"still": 2.0, "a": 1.5, "b": 3.5})
POLICIES = [
    *rows("policy", {"still": 2.0, "a": 1.8, "b": 3.8}, policy_seed=0),
    *rows("policy", {"still": 2.2, "a": 2.0, "b": 3.6}, policy_seed=1),
]


def test_policies_are_one_entrant_and_scored_by_kind() -> None:
    [entry] = [entry for entry in summarise([*FIXED, *BEST, *POLICIES]) if entry["controller"] == "policy"]
    assert (entry["runs"], entry["policies"], entry["streams"]) == (6, 2, 3)
    assert entry["against"]["controller"] == "fixed"
    assert entry["against"]["difference_bpb"]["value"] == pytest.approx((0 - 0.2 - 0.2 + 0.2 + 0 - 0.4) / 6)
    assert entry["against"]["difference_bpb"]["over"] == "policies and streams"
    assert entry["kinds"]["abrupt"]["streams"] == 2
    assert entry["kinds"]["abrupt"]["score"]["value"] == pytest.approx((0.2 + 0.2 + 0.0 + 0.4) / (4 * 0.5))
    assert entry["kinds"]["none"]["score"] is None  # nothing drifts there: its difference is told
    assert entry["kinds"]["none"]["iqm_percent"]["value"] == pytest.approx(5.0)


def test_without_fixed_the_rival_is_base_at_the_same_multiplier() -> None:
    base = [*rows("base", {"a": 2.0}), *rows("base", {"a": 4.0}, base_lr_mult=8.0)]
    mine = rows("hypergradient", {"a": 3.0}, base_lr_mult=8.0)
    entries = {(e["controller"], e["base_lr_mult"]): e for e in summarise([*base, *mine])}
    against = entries["hypergradient", 8.0]["against"]
    assert against["controller"] == "base"
    assert against["iqm_percent"]["value"] == -25.0  # 3 against 4, not against 2
    assert against["iqm_percent"]["low"] is None  # one stream says nothing of others
    never = summarise([*base, *rows("never", {"a": 3.0})])[-1]
    assert never["base_lr_mult"] is None
    assert never["against"]["iqm_percent"]["value"] == 50.0  # against the base as it was given


def test_nothing_is_compared_where_no_rival_took_part() -> None:
    [entry] = summarise(rows("never", {"a": 3.0}))
    assert entry["against"] is None
    assert difference_table([entry])[1] == []


def test_tables_say_which_base_an_entrant_started_from() -> None:
    summary = summarise([*FIXED, *BEST, *rows("base", {"still": 2.5, "a": 2.5, "b": 5.0}, base_lr_mult=8.0)])
    heads, told = loss_table(summary, [1.0, 8.0])
    assert heads[1:3] == ["base lr x1", "base lr x8"]
    assert ["base", "", "3.3333", "60", "0"] in told
    assert ["fixed", "2.6667", "2.6667", "60", "0"] in told  # the same from every base
    differences = {line[0]: line for line in difference_table(summary)[1]}
    assert set(differences) == {"base ×8", "segment-best"}
    assert differences["base ×8"][2] == "+25.00 [+25.00, +25.00]"
    assert {line[0]: line[1:] for line in kind_table(summary)[1]}["base ×8"] == [
        "+25.00",  # one stream
        "+25.00 [+25.00, +25.00]",
    ]
    assert [line[0] for line in score_table(summary)[1]] == [label(entry) for entry in summary]


def test_a_base_that_was_tried_on_fewer_streams_is_compared_on_those() -> None:
    wrong = rows("policy", {"a": 1.5}, policy_seed=0, base_lr_mult=8.0)
    summary = summarise([*FIXED, *BEST, *POLICIES, *wrong])
    [entry] = [entry for entry in summary if entry["base_lr_mult"] == 8.0]
    assert entry["against"]["iqm_percent"]["value"] == pytest.approx(-25.0)
    assert entry["kinds"]["abrupt"]["score"]["value"] == pytest.approx(1.0)
    heads, _ = loss_table(summary, [1.0, 8.0])
    assert heads[1:3] == ["base lr x1 (3 streams)", "base lr x8 (1 streams)"]
    found = cost_of_a_wrong_base([*POLICIES, *wrong], "policy")
    assert found[8.0].value == pytest.approx(100 * (1.5 - 1.8) / 1.8)


def test_a_table_without_rows_is_not_drawn() -> None:
    assert markdown(["a"], []) == []


def test_a_wrong_base_is_held_against_the_same_policy_at_the_right_one() -> None:
    right = [
        *rows("policy", {"a": 1.0, "b": 2.0}, policy_seed=0),
        *rows("policy", {"a": 2.0, "b": 4.0}, policy_seed=1),
    ]
    wrong = [{**r, "base_lr_mult": 8.0, "loss_bpb": 1.5 * r["loss_bpb"]} for r in right]
    found = cost_of_a_wrong_base([*right, *wrong], "policy")
    assert set(found) == {8.0}
    assert (found[8.0].value, found[8.0].low, found[8.0].high) == pytest.approx((50.0, 50.0, 50.0))
    assert cost_of_a_wrong_base(right, "policy") == {}
    assert cost_of_a_wrong_base(wrong, "policy") == {}
