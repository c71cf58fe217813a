import csv
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from olrl.streams.dead_letter import DeadLetter
from olrl.streams.fetched import REVIEWS, TWEETS
from olrl.streams.pieces import split_of
from olrl.streams.scenarios import SCENARIOS, medical, open_scenario, sentiment
from olrl.streams.scenarios.dialogue import USERS
from olrl.streams.sources import open_source

HERE = ("dialogue", "questions", "diagnoses")  # read from dependencies
FETCHED = ("sentiment", "conditions")


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A few made rows where the fetched data would be, in their form."""
    monkeypatch.setenv("OLRL_CACHE", str(tmp_path))
    TWEETS.path.parent.mkdir(parents=True)
    with TWEETS.path.open("w", newline="", encoding="latin-1") as file:  # as theirs, it is not all UTF-8
        writer = csv.writer(file)
        writer.writerow(["sentiment", "confidence", "text"])
        words = ("@united", "driverless", "#coachella", "#superbowl", "@apple", "claritin")
        for k in range(24_000):
            writer.writerow([sentiment.CLASSES[k % 3], "0.5", f"{words[k % 6]} \xa3{k}"])
        writer.writerow(["neutral", "0.5", "of no topic"])
    reviews = io.StringIO()
    table = csv.writer(reviews, delimiter="\t")
    table.writerow(["", "drugName", "condition", "review", "rating", "date", "usefulCount"])
    for k in range(400):
        date = f"March {1 + k % 28}, {2008 + (k * 7) % 10}"
        table.writerow([k, "x", ("Pain", "Gout")[k % 2], f'"It&#039;s the {k}th"', "positive", date, 1])
    with zipfile.ZipFile(REVIEWS.path, "w") as archive:
        archive.writestr("drugsComTest.tsv", reviews.getvalue())
    for cached in (sentiment._tweets, medical._reviews):
        cached.cache_clear()
    yield
    for cached in (sentiment._tweets, medical._reviews):
        cached.cache_clear()


@pytest.mark.parametrize("name", HERE)
def test_versions_stay_the_same_and_differ(name: str) -> None:
    first, again, second = (open_scenario(f"{name}/{k}") for k in (0, 0, 1))
    assert list(first) == list(again) != list(second)
    segments = [document.segment for document in first]
    assert segments == sorted(segments)
    assert len(set(segments)) > 4


@pytest.mark.parametrize("name", HERE)
def test_no_document_to_tune_on_is_judged_on(name: str) -> None:
    def texts(version: str) -> set[tuple[str, object]]:
        return {(document.text, document.label) for document in open_scenario(f"{name}/{version}")}

    tuning = texts("tuning")
    assert tuning
    for version in ("0", "1", "2"):
        assert not tuning & texts(version)


def test_dialogues_are_those_that_no_policy_was_trained_on() -> None:
    for document in open_scenario("dialogue/0"):
        first = document.text.split("\n")[0]
        assert any(split_of(f"dialogue/english/{file}/{first}") != "train" for file in USERS[document.source])


def test_questions_come_again_and_answers_are_labels() -> None:
    asked = open_scenario("questions/0")
    assert len(asked) == 480
    assert all(isinstance(document.label, str) and document.label for document in asked)
    assert 20 < len({document.text for document in asked}) < 500


@pytest.mark.usefixtures("fetched")
def test_tweets_come_by_topic_and_versions_share_none() -> None:
    versions = [open_scenario(f"sentiment/{k}") for k in (0, 1, "tuning")]
    for documents in versions:
        assert {document.label for document in documents} == set(sentiment.CLASSES)
        topics = {document.segment: document.source for document in documents}
        assert all(topics[d.segment] == d.source for d in documents)
        assert all(topics[k] != topics[k + 1] for k in range(len(topics) - 1))
    texts = [{document.text for document in documents} for documents in versions]
    assert not texts[0] & texts[1]
    assert not (texts[0] | texts[1]) & texts[2]


@pytest.mark.usefixtures("fetched")
def test_reviews_come_in_order_of_time_and_the_oldest_are_for_tuning() -> None:
    tuning, judged = open_scenario("conditions/tuning"), open_scenario("conditions/0")
    dates = [str(document.time) for document in (*tuning, *judged)]
    assert dates == sorted(dates)
    assert {document.label for document in judged} == {"Pain", "other"}
    assert judged[0].text.startswith("It's the")
    assert len(judged) == int(medical.KEPT * (400 - medical.PREFIX))


@pytest.mark.parametrize("name", FETCHED)
def test_data_that_was_not_fetched_names_the_script(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLRL_CACHE", str(tmp_path))
    for cached in (sentiment._tweets, medical._reviews):
        cached.cache_clear()
    with pytest.raises(ValueError, match=r"python scripts/fetch_scenarios\.py fetches it"):
        open_source(f"scenario:{name}", dead_letter=DeadLetter(None))


def test_a_scenario_is_a_source_that_can_be_gone_on_with() -> None:
    source = open_source("scenario:questions/1", dead_letter=DeadLetter(None))
    documents = list(open_scenario("questions/1"))
    assert [next(source) for _ in range(5)] == documents[:5]
    resumed = open_source("scenario:questions/1", dead_letter=DeadLetter(None), state=source.state_dict())
    assert list(resumed) == documents[5:]


@pytest.mark.parametrize(
    ("name", "told"), [("weather", "there are dialogue"), ("dialogue/x", "number from 0 up")]
)
def test_what_there_is_not_is_told(name: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        open_scenario(name)


def test_every_scenario_has_a_task_that_fits_it() -> None:
    for name, scenario in SCENARIOS.items():
        assert scenario.name == name
        assert bool(scenario.classes) == (scenario.task == "classify")
