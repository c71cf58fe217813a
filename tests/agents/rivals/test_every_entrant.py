import json
import math
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from olrl.agents.evaluation.entrants import build_controller, policy_seed
from olrl.agents.rivals.entrant import PRIVILEGES
from olrl.agents.rivals.registry import ENTRANTS, tunable
from olrl.agents.rivals.space import settings_at
from olrl.control.decision import WINDOWS
from tests.agents.rivals.runs import BASE, FIXED, run, shown

QUICK = {
    "search-hindsight": {"trials": 3},
    "lookahead": {"every": 2, "tries": 1},
    "segment-best": {"most": 3},
    "re-search": {"every": 3, "past": 2, "trials": 2},
    "pb2": {"population": 2, "every": 2},
}


def _with_what_it_needs(name: str) -> object:
    """Ray is no part of every installation: who goes by its rule is left out where it is missing."""
    missing = [package for package in ENTRANTS[name].requires if find_spec(package) is None]
    return pytest.param(name, marks=pytest.mark.skipif(bool(missing), reason=f"without {missing}"))


everyone = pytest.mark.parametrize("name", [_with_what_it_needs(name) for name in ENTRANTS])


@everyone
@pytest.mark.usefixtures("global_generators_untouched")
def test_plays_the_same_run_twice_to_the_bit(name: str) -> None:
    one, other = (run(name, **QUICK.get(name, {})) for _ in range(2))
    assert shown(one) == shown(other)
    assert len(one.loss_bpb) == 6
    assert all(math.isfinite(loss) for loss in one.loss_bpb)
    assert all(window in WINDOWS for window in one.window)
    assert one.loss_bpb[0] == run("never").loss_bpb[0]  # the same tokens, scored before any training
    json.dumps(one.to_dict(), allow_nan=False)


@everyone
def test_is_described_in_a_line_and_declares_privileges_that_are_known(name: str) -> None:
    entrant = ENTRANTS[name]
    assert entrant.name == name
    assert 0 < len(entrant.description) < 100
    assert set(entrant.privileges) <= set(PRIVILEGES)


@everyone
def test_a_base_that_is_not_used_changes_nothing(name: str) -> None:
    far = replace(BASE, lr=8 * BASE.lr)
    losses = [run(name, base=base, **QUICK.get(name, {})).loss_bpb for base in (BASE, far)]
    assert (losses[0] == losses[1]) == (not ENTRANTS[name].uses_base)


@pytest.mark.parametrize("name", [_with_what_it_needs(name) for name in tunable()])
def test_settings_all_over_its_space_make_a_controller(name: str) -> None:
    space, rng = ENTRANTS[name].space, np.random.default_rng(0)
    corners = [dict.fromkeys(space, place) for place in (0.0, 1.0)]
    inside = [{setting: float(rng.random()) for setting in space} for _ in range(10)]
    for places in [*corners, *inside]:
        settings = settings_at(space, places)
        assert json.loads(json.dumps(settings, allow_nan=False)) == settings
        build_controller(name, base=BASE, fixed=FIXED, policy="default", price=0.0, settings=settings)


def test_what_needs_a_package_that_is_missing_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("olrl.agents.rivals.entrant.find_spec", lambda package: None)
    with pytest.raises(ValueError, match=r"'prodigy' needs the package prodigyopt: .*olrl\[rivals\]"):
        build_controller("prodigy", base=BASE, fixed=FIXED, policy="default", price=0.0)


def test_the_seed_of_the_policy_is_told_of_the_controls_made_from_it() -> None:
    assert policy_seed("lr-only", "default") == policy_seed("policy", "default") is not None
    assert policy_seed("untrained", "default") is policy_seed("plateau", "default") is None


def test_a_mistake_in_settings_is_said_before_anything_runs() -> None:
    for name, settings in (("lookahead", {"every": 1}), ("segment-best", {"most": 0}), ("wsd", {"decay": 2})):
        with pytest.raises(ValueError, match=next(iter(settings))):
            build_controller(name, base=BASE, fixed=FIXED, policy="default", price=0.0, settings=settings)
