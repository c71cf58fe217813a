from typing import Any

import pytest

from olrl.agents.evaluation.goals import Goal, goal_table, goals
from olrl.agents.evaluation.raw import Raw
from tests.agents.evaluation.tables_by_hand import rows

FIXED, BEST = {"a": 2.0, "b": 4.0, "still": 1.0}, {"a": 1.8, "b": 3.6, "still": 1.0}


def part(name: str, given: list[dict[str, Any]], **settings: Any) -> Raw:
    return Raw(
        part=name,
        settings={"cost": {"budget": 20.0}, "price": 0.0, **settings},
        facts={},
        rows=[{"updated_share": 1.0, **row} for row in given],
        examples=[],
        versions={},
        corpus_sha256=None,
    )


def told(*parts: Raw) -> dict[str, Goal]:
    return {goal.asked: goal for goal in goals({one.part: one for one in parts})}


def only(found: dict[str, Goal], *words: str) -> Goal:
    [goal] = [goal for asked, goal in found.items() if all(word in asked for word in words)]
    return goal


def nano(policy: dict[str, float], **others: dict[str, float]) -> Raw:
    """The policy at ×1, 1 % above itself from ×8 and 3 % from ×⅛, with `fixed`, `segment-best` and others."""
    wrong = {8.0: 1.01, 0.125: 1.03}
    return part(
        "nano",
        [
            *rows("fixed", FIXED),
            *rows("segment-best", BEST),
            *rows("policy", policy, policy_seed=0),
            *(
                row
                for mult, factor in wrong.items()
                for row in rows(
                    "policy",
                    {stream: loss * factor for stream, loss in policy.items()},
                    policy_seed=0,
                    base_lr_mult=mult,
                )
            ),
            *(row for name, losses in others.items() for row in rows(name.replace("_", "-"), losses)),
        ],
    )


def test_better_means_that_the_whole_interval_is_and_a_tie_is_not() -> None:
    ours = {"a": 1.9, "b": 3.8, "still": 1.0}
    found = told(nano(ours, drift_reset=FIXED, hypergradient=ours))
    ahead, tied = only(found, "`drift-reset`", "where text moves"), only(found, "than `hypergradient`")
    assert (ahead.reached, ahead.found) == (True, "-5.0 [-5.0, -5.0] %")
    assert (tied.reached, tied.found) == (False, "+0.0 [+0.0, +0.0] %")
    split = told(nano({"a": 1.9, "b": 4.1, "still": 1.0}, drift_reset=FIXED))
    assert not only(split, "`drift-reset`").reached


def test_a_score_is_of_the_streams_that_move_and_must_be_above_both_rivals() -> None:
    ours = {"a": 1.9, "b": 3.8, "still": 1.5}
    ahead = only(told(nano(ours, drift_reset=FIXED)), "score")
    assert ahead.reached
    assert "`policy` +0.50" in ahead.found  # 0.3 of 0.6 bits
    assert not only(told(nano(ours, hypergradient=ours)), "score").reached
    assert not only(told(nano({"a": 1.95, "b": 3.8, "still": 1.0})), "score").reached


def test_a_wrong_base_is_held_against_its_own_loss_from_the_right_one() -> None:
    found = told(nano({"a": 1.9, "b": 3.8, "still": 1.0}))
    assert only(found, "×8").reached
    assert not only(found, "×0.125").reached
    assert only(found, "×0.125").found == "+3.0 [+3.0, +3.0] %"


def test_a_single_stream_shows_no_harmlessness() -> None:
    harm = only(told(nano({"a": 1.9, "b": 3.8, "still": 1.0})), "without drift")
    assert (harm.reached, harm.found) == (False, "+0.0 %, 1 streams")


def test_search_may_be_tied_and_controls_may_not() -> None:
    ours = {"a": 1.9, "b": 3.8}
    search = part("nano-search", [*rows("policy", ours, policy_seed=0), *rows("search-hindsight", ours)])
    controls = part("controls", [*rows("policy", ours, policy_seed=0), *rows("untrained", ours)])
    found = told(search, controls)
    assert only(found, "search-hindsight").reached
    assert not only(found, "untrained").reached


@pytest.mark.parametrize(
    ("share", "loss", "enough"), [(0.5, 2.0, True), (0.7, 2.0, False), (0.5, 2.02, False)]
)
def test_saving_is_unspent_budget_at_little_loss(share: float, loss: float, enough: bool) -> None:
    mine = rows("policy", {"a": loss, "b": 2 * loss}, policy_seed=0, spent=120 * share, updated_share=share)
    raw = part("skip", [*rows("fixed", {"a": 2.0, "b": 4.0}, spent=120.0), *mine], price=0.1)
    assert only(told(raw), "at a price").reached is enough


@pytest.mark.parametrize(("theirs", "equal"), [(0.52, True), (0.6, False)])
def test_who_skips_is_compared_at_equal_spend(theirs: float, equal: bool) -> None:
    mine = rows("policy", {"a": 1.9, "b": 3.8}, policy_seed=0, updated_share=0.5)
    detector = rows("skip-detector", {"a": 2.0, "b": 4.0}, updated_share=theirs)
    goal = only(told(part("skip", [*mine, *detector], price=0.1)), "skip-detector")
    assert goal.reached is equal
    assert goal.found == f"-5.0 [-5.0, -5.0] %, 50% and {theirs:.0%} of the rounds"


def test_one_run_lost_is_told() -> None:
    raw = nano({"a": 1.9, "b": 3.8, "still": 1.0})
    assert only(told(raw), "diverges").reached
    lost = part("bpe", rows("policy", {"a": 8.0}, policy_seed=0, diverged=True))
    assert only(told(raw, lost), "diverges").found == "1 of 10 runs"
    assert not only(told(raw, lost), "diverges").reached


def test_without_the_policy_there_is_nothing_to_tell() -> None:
    assert goal_table({"nano": part("nano", rows("fixed", FIXED))})[1] == []


def test_the_table_says_yes_or_no() -> None:
    heads, table = goal_table({"nano": nano({"a": 1.9, "b": 3.8, "still": 1.0})})
    assert heads == ["asked of the policy", "found", "reached"]
    assert ["diverges nowhere", "0 of 9 runs", "yes"] in table
    assert [
        "`nano`: without drift at most 0.5 % above the constant (upper end)",
        "+0.0 %, 1 streams",
        "no",
    ] in table
