import re
from pathlib import Path

import pytest

from olrl.agents.evaluation.suites import SUITES, Wanted, quiet_share, streams_of
from olrl.streams.corpus import load_corpus
from olrl.streams.drift import plan_segments
from olrl.streams.scenarios import SCENARIOS
from olrl.streams.suite import HOME

ROOT = Path(__file__).parents[3]
WANTED = Wanted(streams=3, rounds=100, bytes_per_round=1024)


@pytest.mark.parametrize("name", SUITES)
def test_streams_of_a_suite_have_names_of_their_own_and_stay_the_same(name: str) -> None:
    streams = streams_of(name, WANTED)
    several = sum(stream.kind != streams[0].kind for stream in streams) and name in ("scenarios", *SCENARIOS)
    assert len({stream.name for stream in streams}) == len(streams) <= (21 if several else 3)
    assert streams == streams_of(name, WANTED)


def test_home_is_what_the_models_were_pretrained_on() -> None:
    found = re.search(r"PRETRAINING_DOMAINS = \((.*)\)", (ROOT / "scripts" / "make_models.py").read_text())
    assert found is not None
    assert tuple(re.findall(r'"(\w+)"', found[1])) == HOME


def test_a_quiet_stream_is_mostly_at_home_and_always_returns() -> None:
    corpus = load_corpus()
    for stream in streams_of("quiet", Wanted(streams=5, rounds=200, bytes_per_round=1024)):
        assert stream.drift is not None
        assert stream.drift.concurrent == 16
        at_home = [segment.domain in HOME for segment in plan_segments(stream.drift, corpus)]
        assert at_home == [k % 2 == 0 for k in range(len(at_home))]
        assert 0.8 < quiet_share(stream.drift, corpus) < 0.95


def test_time_is_no_place_to_choose_on() -> None:
    with pytest.raises(ValueError, match="one split, test"):
        streams_of("time", Wanted(streams=3, rounds=10, bytes_per_round=1024, split="validation"))


def test_scenarios_have_versions_of_their_own_tasks_and_a_stream_to_tune_on() -> None:
    streams = streams_of("scenarios", Wanted(streams=2, rounds=10, bytes_per_round=1024))
    assert {stream.kind for stream in streams} == {*SCENARIOS, "late and wrong labels"}
    for stream in streams:
        assert stream.task.kind == SCENARIOS[stream.name.partition("-")[0]].task
        assert (stream.labels is not None) == stream.name.endswith("-late")
    with pytest.raises(ValueError, match="one split, test"):
        streams_of("scenarios", Wanted(streams=2, rounds=10, bytes_per_round=1024, split="validation"))


def test_the_help_of_compare_says_what_a_price_is_by_default() -> None:
    told = (ROOT / "agents" / "commands.py").read_text(encoding="utf-8")
    priced = [f"{name}: {suite.price:g}" for name, suite in SUITES.items() if suite.price]
    assert f'show_default="0; {"; ".join(priced)}"' in told
