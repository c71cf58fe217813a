from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from olrl.agents.evaluation.compare import CompareConfig, Outcome, compare
from olrl.agents.evaluation.matched import detector_rounds, matched_config, nearest, trained_share
from tests.deployed import untrained_policy

SKIPPING = ("skip-random", "skip-periodic", "skip-detector")


@pytest.fixture(scope="module", autouse=True)
def _in_this_process() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("olrl.agents.workers.local.worker_pool", ThreadPoolExecutor)
        yield


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def outcome(cache: Path) -> Outcome:
    config = CompareConfig(
        controllers=("base", "policy"),
        suite="quiet",
        streams=2,
        rounds=20,
        model="femto",
        policies=(str(untrained_policy(cache / "policy", seed=9)),),
        base_lr_mult=(1.0,),
        price=0.02,
        processes=1,
    )
    return compare(config, cache=cache)


def test_skippers_train_in_as_many_rounds_as_the_policy_on_the_same_streams(
    outcome: Outcome, cache: Path
) -> None:
    share = trained_share(outcome, "policy")
    assert 0.2 < share < 0.8
    assert trained_share(outcome, "base") == 1
    config = matched_config(outcome, SKIPPING, cache=cache)
    assert [(name, key) for name, key, _ in config.settings] == [
        ("skip-random", "share"),
        ("skip-periodic", "share"),
        ("skip-detector", "rounds"),
        ("skip-detector", "rise"),
    ]
    found = compare(config, cache=cache)
    assert {job.stream for job, _ in found.runs} == {job.stream for job, _ in outcome.runs}
    for name in ("skip-periodic", "skip-random"):
        assert trained_share(found, name) == pytest.approx(share, abs=1 / 20)


def test_a_detector_trains_longer_for_more_and_no_other_length_comes_nearer(
    outcome: Outcome, cache: Path
) -> None:
    few, many = (detector_rounds(share, outcome.config, cache=cache) for share in (0.1, 0.9))
    assert 1 <= few < many <= 20

    def missed(rounds: int) -> float:
        settings = (("skip-detector", "rounds", rounds), ("skip-detector", "rise", 0.15))
        config = replace(outcome.config, controllers=("skip-detector",), settings=settings)
        return abs(trained_share(compare(config, cache=cache), "skip-detector") - 0.5)

    chosen = detector_rounds(0.5, outcome.config, cache=cache)
    assert missed(chosen) == min(missed(rounds) for rounds in range(1, 21))


def test_the_nearest_is_found_in_few_tries() -> None:
    tried = []

    def trained(rounds: int) -> float:
        tried.append(rounds)
        return min(1.0, rounds / 40)

    assert nearest(trained, 0.51, most=64) == 20
    assert len(tried) <= 8


def test_who_did_not_run_cannot_be_matched(outcome: Outcome) -> None:
    with pytest.raises(ValueError, match="'wsd' did not run"):
        trained_share(outcome, "wsd")
