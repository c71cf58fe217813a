import runpy
from dataclasses import replace
from pathlib import Path

import pytest

from olrl.agents.evaluation.example import Example
from olrl.agents.evaluation.page import write_page
from olrl.agents.evaluation.page_figures import figures_of
from olrl.agents.evaluation.raw import Raw, read_raw, renewed, write_raw
from olrl.agents.evaluation.summary import summarise
from tests.agents.evaluation.tables_by_hand import rows

KNOBS = {"lr": (1e-3,) * 6, "batch_size": (2.0,) * 6, "window": (1.0, 1.0, 2.0, 4.0, 0.0, 0.0)}
EXAMPLE = Example(
    stream="a",
    kind="abrupt",
    base_lr_mult=1.0,
    segments=((0, "manual"), (3, "dutch")),
    rounds={
        "fixed": {"loss_bpb": (3.0, 2.0, 2.0, 4.0, 3.0, 3.0), **KNOBS},
        "policy": {"loss_bpb": (3.0, 2.5, 2.0, 4.0, 2.5, 2.5), **KNOBS},
    },
)
RUNS = [
    *rows("never", {"a": 3.0, "b": 5.0, "c": 4.0}, spent=0.0),
    *rows("fixed", {"a": 2.0, "b": 4.0, "c": 3.0}, tuning_examples=1_000),
    *rows("segment-best", {"a": 1.5, "b": 3.5, "c": 2.8}),
    *(r for seed in (0, 1) for r in rows("policy", {"a": 1.8, "b": 4.4, "c": 2.9}, policy_seed=seed)),
    *(
        r
        for seed in (0, 1)
        for r in rows("policy", {"a": 1.9, "b": 4.5, "c": 3.0}, policy_seed=seed, base_lr_mult=8.0)
    ),
]
RAW = Raw(
    part="nano",
    settings={
        "suite": "drift",
        "model": "femto",
        "split": "test",
        "price": 0.1,
        "cost": {"budget": 20.0},
        "base": {"lr": 1e-3, "batch_size": 2, "window": 1},
    },
    facts={"quiet rounds": 0.87},
    rows=[
        {
            **r,
            "total_spent": r["spent"],
            "tuning_spent": 3.0 * r["tuning_examples"],
            "recovery_bytes": 900.0,
            "forgetting_bpb": None if r["stream"] == "a" else 2.5,
            "updated_share": 1.0,
        }
        for r in RUNS
    ],
    examples=[EXAMPLE],
    versions={"olrl": "0.1.0"},
    corpus_sha256="abc",
)


def test_raw_results_come_back_as_they_were_and_give_the_same_bytes(tmp_path: Path) -> None:
    path = write_raw(RAW, tmp_path)
    assert read_raw(path) == RAW
    first = path.read_bytes()
    assert write_raw(RAW, tmp_path).read_bytes() == first


def test_one_entrant_measured_again_replaces_its_own_rows_and_nothing_else() -> None:
    policy = [
        {**row, "loss_bpb": 1.5, "policy_seed": 7} for row in RAW.rows if row["controller"] == "policy"
    ][:1]
    curve = dict.fromkeys(("loss_bpb", "lr", "batch_size", "window"), (1.5, 1.5))
    settings = {**RAW.settings, "controllers": ["policy"], "policies": 1}
    new = replace(RAW, settings=settings, rows=policy, examples=[replace(EXAMPLE, rounds={"policy": curve})])
    after = renewed(RAW, new)
    assert [row for row in after.rows if row["controller"] != "policy"] == [
        row for row in RAW.rows if row["controller"] != "policy"
    ]
    assert [row for row in after.rows if row["controller"] == "policy"] == policy
    assert after.settings["policies"] == 1
    assert after.examples[0].rounds == {**EXAMPLE.rounds, "policy": curve}


def test_what_was_measured_otherwise_is_not_mixed() -> None:
    new = replace(RAW, settings={**RAW.settings, "policies": 1, "price": 0.2}, versions={"olrl": "9"})
    with pytest.raises(ValueError, match=r"measured otherwise \(price 0.1 -> 0.2, versions .*: measure all"):
        renewed(RAW, new)


def test_rows_of_which_some_have_more_are_kept_apart(tmp_path: Path) -> None:
    mixed = [{**RAW.rows[0], "macro_f1": 0.5}, RAW.rows[1], {**RAW.rows[2], "loss_unit": "label"}]
    read = read_raw(write_raw(replace(RAW, rows=mixed), tmp_path)).rows
    assert [{name: value for name, value in row.items() if value is not None} for row in read] == [
        {name: value for name, value in row.items() if value is not None} for row in mixed
    ]


def test_damaged_raw_results_are_refused(tmp_path: Path) -> None:
    path = write_raw(RAW, tmp_path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match="damaged"):
        read_raw(path)


def test_the_page_shows_every_figure_it_made_and_where_the_policy_loses(tmp_path: Path) -> None:
    write_raw(RAW, tmp_path / "results")
    page = write_page(tmp_path).read_text(encoding="utf-8")
    figures = {path.name for path in (tmp_path / "results").glob("*.png")}
    shown = ("scores", "profiles", "costs", "robustness", "abrupt")
    assert figures == {f"nano-{name}.png" for name in shown}
    assert all(f"(results/{name})" in page for name in figures)
    assert "| b | abrupt | 4.4000 | 4.0000 | +10.00 |" in page
    assert "| a | abrupt |" not in page  # the policy wins there
    assert "quiet rounds 87%" in page
    # half the budget of 6 × 20 costs 5 % of fixed's loss: 3 of 2.1, 5 of 4.2, 4 of 3.15
    assert "| never | fixed | +29.63 [+19.05, +42.86] |" in page
    assert "2 independently trained policies" in page


def test_of_many_entrants_the_main_ones_and_the_lowest_have_a_curve() -> None:
    others = (
        "bandit",
        "cosine",
        "gns-batch",
        "greedy-lr",
        "inv-sqrt",
        "plateau",
        "prodigy",
        "schedule-free",
        "wsd",
    )
    more = [
        {**row, "controller": name, "loss_bpb": row["loss_bpb"] + 0.1 * (len(others) - rank)}
        for rank, name in enumerate(others)  # the first has the highest loss
        for row in RAW.rows
        if row["controller"] == "fixed"
    ]
    raw = replace(RAW, rows=[*RAW.rows, *more])
    [figure] = [figure for name, _, figure in figures_of(raw, summarise(raw.rows)) if name == "profiles"]
    legend = figure.axes[0].get_legend() or figure.legends[0]
    told = {text.get_text() for text in legend.get_texts()}
    assert {"policy", "segment-best", *others[3:]} <= told
    assert not told & set(others[:3])


def test_what_a_run_took_is_told_with_its_tuning_and_no_trial_twice(tmp_path: Path) -> None:
    searched = [
        {**dict(row), "controller": "search-hindsight", "total_spent": 900.0, "tuning_examples": 500}
        | {"tuning_spent": 0.0, "loss_bpb": 2.0}
        for row in RAW.rows
        if row["controller"] == "fixed"
    ]
    write_raw(replace(RAW, rows=[*RAW.rows, *searched]), tmp_path / "results")
    page = write_page(tmp_path).read_text(encoding="utf-8")
    # 3,000 units of tuning over three streams
    assert "| fixed | 3.0000 | 60 | 1,000 | 1,060 | search-hindsight |" in page
    assert "| search-hindsight | 2.0000 | 900 | 0 | 900 | itself |" in page
    assert "| never | 4.0000 | 0 | 0 | 0 | itself |" in page
    assert "- *change points* (knows when the stream changes): `segment-best`" in page
    assert "| policy | 0 | 10 | 100% | 0.9 | 2.5000 | 0.5 |" in page  # of two streams that left a domain


def test_the_policy_is_paired_with_who_trained_as_much(tmp_path: Path) -> None:
    write_raw(RAW, tmp_path / "results")
    page = write_page(tmp_path).read_text(encoding="utf-8")
    # half the budget of 6 × 20; of 1.8 / 3, 4.4 / 5 and 2.9 / 4, twice each, the lowest and highest are dropped
    assert "| never | 4.0000 | 100% | 100% | -26.75 [-40.00, -12.00] | 100% [100%, 100%] |" in page
    assert "| policy | 3.0333 | 100% | 50% |  |  |" in page


def test_a_part_with_few_runs_has_a_page_too(tmp_path: Path) -> None:
    few = [dict(row) for row in RAW.rows if row["controller"] == "never"]
    write_raw(replace(RAW, rows=few, examples=[]), tmp_path / "results")
    assert "| never |" in write_page(tmp_path).read_text(encoding="utf-8")


def test_no_results_is_a_mistake_and_no_empty_page(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="make some with --rerun"):
        write_page(tmp_path)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--rerun", "--streams", "3"], "give it another --out than docs"),
        (["--part", "nano"], "with --rerun"),
    ],
)
def test_a_trial_never_overwrites_what_ships(
    options: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["results.py", *options])
    with pytest.raises(SystemExit):
        runpy.run_path("scripts/results.py", run_name="__main__")
    assert told in capsys.readouterr().err
