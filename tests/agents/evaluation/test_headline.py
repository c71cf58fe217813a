from dataclasses import replace
from pathlib import Path

import pytest

from olrl.agents.evaluation.compare import base_of, plan_jobs
from olrl.agents.evaluation.headline import PARTS, Part, configs, only, smaller
from olrl.agents.evaluation.suites import SUITES
from olrl.models.load import load_model
from tests.deployed import untrained_policy


@pytest.mark.parametrize("name", PARTS)
def test_every_part_can_be_planned_whatever_is_missing(name: str, tmp_path: Path) -> None:
    assert PARTS[name].suite in SUITES
    planned, skipped = configs(replace(PARTS[name], model="femto"), root=tmp_path)
    assert planned
    assert "policy" not in planned[0].controllers
    assert "'policy' needs a policy" in skipped
    assert sum("no policy in" in reason for reason in skipped) == len(PARTS[name].policies)


def test_parts_of_one_suite_share_their_runs(tmp_path: Path) -> None:
    untrained_policy(tmp_path / "one")
    loaded = load_model("femto")
    keys = {}
    for name in ("nano", "rivals", "controls"):
        part = replace(PARTS[name], model="femto", policies=("one",), rounds=20)
        config, *_ = configs(part, root=tmp_path)[0]
        jobs = plan_jobs(replace(config, base_lr_mult=(1.0,)), loaded, base_of(config, loaded))
        keys[name] = {job.key for job in jobs if job.entrant in ("base", "fixed", "policy", "segment-best")}
    assert len(keys["rivals"]) == 4 * PARTS["rivals"].streams
    assert keys["controls"] < keys["rivals"] <= keys["nano"]


def test_a_part_whose_model_is_not_there_is_left_out(tmp_path: Path) -> None:
    assert configs(replace(PARTS["mini"], model="nowhere"), root=tmp_path) == (
        [],
        ["all of it: there is no model 'nowhere'"],
    )


def test_what_is_not_there_is_left_out_with_a_word(tmp_path: Path) -> None:
    untrained_policy(tmp_path / "one")
    part = Part(
        name="trial",
        about="",
        entrants=("base", "never", "policy", "nobody"),
        also=("base", "never", "nobody"),
        also_streams=3,
        policies=("one", "two"),
    )
    (first, wrong), skipped = configs(part, root=tmp_path)
    assert first.controllers == ("base", "never", "policy")
    assert first.policies == (str(tmp_path / "one"),)
    assert (first.streams, wrong.streams) == (10, 3)
    assert (wrong.controllers, wrong.base_lr_mult) == (
        ("base",),
        (0.125, 8.0),
    )  # never is the same from any base
    assert skipped == ["no policy in two", "no entrant 'nobody'"]


def test_a_trial_is_never_larger_than_the_part() -> None:
    part = smaller(PARTS["time"], streams=99, rounds=5, model="femto")
    assert (part.streams, part.rounds, part.model) == (PARTS["time"].streams, 5, "femto")


def test_one_entrant_of_a_part_is_all_that_is_measured(tmp_path: Path) -> None:
    untrained_policy(tmp_path / "one")
    part = only(replace(PARTS["nano"], model="femto", policies=("one",)), ["policy"])
    first, fewer = configs(part, root=tmp_path)[0]
    assert (first.controllers, fewer.controllers) == (("policy",), ("policy",))
    assert only(PARTS["skip"], ["policy"]).matched == PARTS["skip"].matched
    assert only(PARTS["skip"], ["base"]).matched == ()
