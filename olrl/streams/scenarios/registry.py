"""The scenarios by name."""

from collections.abc import Sequence

from olrl.streams.document import Document
from olrl.streams.scenarios import dialogue, medical, sentiment, style
from olrl.streams.scenarios.scenario import Scenario

_ORDERS = "reorderings of the same text"
SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            name="dialogue",
            about="conversations of users who come and go, each with subjects of their own",
            task="lm",
            versions=_ORDERS,
            documents=dialogue.conversations,
        ),
        Scenario(
            name="generation",
            about="prose whose style changes every 10 to 20 kB",
            task="lm",
            versions="draws from the same domains",
            documents=style.styles,
        ),
        Scenario(
            name="questions",
            about="questions with answers, some of which come again; the loss is on the answers alone",
            task="answer",
            versions="draws from the same questions",
            documents=dialogue.questions,
            seq_len=96,
        ),
        Scenario(
            name="sentiment",
            about="tweets with their sentiment, one topic after the other",
            task="classify",
            versions="streams that share no tweet",
            documents=sentiment.tweets,
            classes=sentiment.CLASSES,
            seq_len=140,
        ),
        Scenario(
            name="diagnoses",
            about="the ICD-10-CM, chapter by chapter, as text",
            task="lm",
            versions="draws of chapters in another order",
            documents=medical.diagnoses,
        ),
        Scenario(
            name="conditions",
            about="dated reviews of drugs, labelled by the condition they were taken for",
            task="classify",
            versions="subsamples of the same reviews, each in order of time",
            documents=medical.reviews,
            classes=(*medical.CONDITIONS, medical.OTHER),
            seq_len=256,
        ),
    )
}


def open_scenario(source: str) -> Sequence[Document]:
    """The documents of `NAME` or `NAME/NUMBER`, version 0 if none is named; ValueError for what there is not.

    >>> open_scenario("dialog")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: there is no scenario 'dialog'; there are dialogue, ...
    """
    name, _, number = source.partition("/")
    if name not in SCENARIOS:
        raise ValueError(f"there is no scenario {name!r}; there are {', '.join(SCENARIOS)}")
    if number not in ("", "tuning") and not number.isdecimal():
        raise ValueError(f"a version of a scenario is a number from 0 up, or tuning, not {number!r}")
    version = -1 if number == "tuning" else int(number or 0)
    return SCENARIOS[name].documents(version)
