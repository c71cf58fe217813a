"""Selection on what is planted, and from recorded runs to a policy that is trained on the spec."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from olrl.agents.features.scores import MEASURES, scores_of
from olrl.agents.features.spec_file import read_feature_set, write_feature_set
from olrl.agents.ppo import recipe
from olrl.agents.ppo.recipe import Recipe
from olrl.agents.ppo.tiny import TINY
from olrl.cli import execute
from olrl.control.decision import Base
from olrl.control.policy import FrozenPolicy
from olrl.monitor.feature_set import HAND_MADE
from olrl.monitor.signals import Signals
from olrl.run_folder import RunFolder
from tests.monitor.selected_sets import selected_set

needs_sklearn = pytest.mark.skipif(find_spec("sklearn") is None, reason="the extra features is not installed")
BASE = Base(lr=1e-3, batch_size=8, window=4)


@needs_sklearn
def test_every_measure_finds_what_was_planted() -> None:
    rng = np.random.default_rng(0)
    features = np.clip(rng.normal(size=(900, 12)), -5, 5)
    linear = features[:, 3] + 0.3 * rng.normal(size=900)
    curved = features[:, 7] ** 2 + 0.3 * rng.normal(size=900)
    curved[:400] = np.nan  # of learners that this target says nothing of
    found = scores_of(features, np.column_stack([linear, curved]), seed=0)
    assert set(found) == set(MEASURES)
    for name, values in found.items():
        assert values.sum() == pytest.approx(1.0), name
        assert values.argmax() == 3 or name != "l1"
    for name in ("mutual_information", "permutation"):  # which see more than straight lines
        assert set(np.argsort(-found[name])[:2]) == {3, 7}, name


def test_a_policy_carries_its_features(tmp_path: Path) -> None:
    features, rng = selected_set(), np.random.default_rng(0)
    from olrl.control.actions import action_coding

    coding = action_coding("leaps")
    sizes = (len(features), 8, sum(coding.nvec))
    layers = [
        (rng.normal(size=(n, m)).astype(np.float32), rng.normal(size=n).astype(np.float32))
        for m, n in pairwise(sizes)
    ]
    policy = FrozenPolicy(
        layers=layers, mean=np.zeros(sizes[0]), std=np.ones(sizes[0]), coding=coding, features=features
    )
    policy.save(tmp_path / "policy")
    again = FrozenPolicy.load(tmp_path / "policy")
    assert again.features.spec() == features.spec()
    assert again.sha256() == policy.sha256()
    one, other = policy.controller(base=BASE), again.controller(base=BASE)
    for k in range(6):
        signals = Signals(loss_nats=2.0 - 0.1 * k, grad_cos=0.3 * (-1) ** k, lr=1e-3, batch_size=8, window=4)
        assert one.decide(signals) == other.decide(signals)
    told = one.explain()
    assert told is not None
    assert set(told.strongest("lr")) <= set(features.names)
    assert sum(told.by_group("lr").values()) == pytest.approx(told.values[0].sum())
    bad = json.loads((tmp_path / "policy" / "policy.json").read_text())
    bad["features"]["features"][0]["name"] = "now(loss)"
    (tmp_path / "policy" / "policy.json").write_text(json.dumps(bad))
    with pytest.raises(ValueError, match="the model's own"):
        FrozenPolicy.load(tmp_path / "policy")


def test_a_spec_file_that_is_none_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "features.json"
    write_feature_set(path, selected_set(), selection={"seed": 0})
    assert read_feature_set(path).names == selected_set().names
    for text, told in (
        ("[", "not valid JSON"),
        ("{}", "is no feature spec"),
        ('{"format": 7}', "no feature"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=told):
            read_feature_set(path)
    with pytest.raises(ValueError, match="olrl features writes one"):
        read_feature_set(tmp_path / "nothing.json")


def looking_back() -> Recipe:
    """The hindsight stage of the tiny recipe alone, with enough streams to select from."""
    stage = next(stage for stage in TINY.stages if stage.kind == "hindsight")
    config = replace(stage.hindsight, streams=4, rounds=14, steps=20)
    stage = replace(stage, legs=1, hindsight=config)
    return replace(TINY, name="tiny", coding="leaps", stages=(stage,))


@pytest.fixture
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "PROFILES", {**recipe.PROFILES, "tiny": looking_back()})
    monkeypatch.setattr("olrl.agents.workers.local.worker_pool", lambda count: ThreadPoolExecutor(1))


@needs_sklearn
@pytest.mark.slow
@pytest.mark.usefixtures("_tiny")
def test_from_recorded_runs_to_a_policy_that_is_trained_on_the_selection(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from olrl.agents import commands

    run, spec, trained = tmp_path / "run", tmp_path / "features.json", tmp_path / "trained"
    assert execute(["train", "--profile", "tiny", "--out", str(run)]) == 0
    commands.features([run], out=spec, count=6, bootstraps=2, decisions=400, seed=1)
    told = capsys.readouterr().out
    assert "6 features of 4 streams' runs" in told
    features = read_feature_set(spec)
    assert 6 == len(features) < len(HAND_MADE) / 2
    assert all(0 <= one.scores["stability"] <= 1 for one in features.features)
    first = spec.read_bytes()
    commands.features([run], out=spec, count=6, bootstraps=2, decisions=400, seed=1)
    assert spec.read_bytes() == first
    from rich.console import Console

    from olrl.agents.bars import Bars
    from olrl.agents.ppo.command import train_and_tell

    train_and_tell("tiny", seed=0, out=trained, resume=False, bars=Bars(Console(quiet=True)), features=spec)
    policy = FrozenPolicy.load(trained / "policy")
    assert policy.features.names == features.names
    assert policy.layers[0][0].shape[1] == 6
    assert json.loads((trained / "config.json").read_text())["recipe"]["features"] == features.spec()
    capsys.readouterr()
    assert execute(["inspect", str(trained)]) == 0
    shown = capsys.readouterr().out
    assert "6 selected features" in shown
    assert features.names[0] in shown


def test_a_run_without_recorded_runs_is_refused(tmp_path: Path) -> None:
    from olrl.agents import commands

    folder = tmp_path / "run"
    RunFolder.create(folder).write_config({"command": "run"})
    if find_spec("sklearn") is None:
        pytest.skip("the extra features is not installed")
    with pytest.raises(ValueError, match="not the folder of an olrl train run"):
        commands.features([folder], out=tmp_path / "features.json")
