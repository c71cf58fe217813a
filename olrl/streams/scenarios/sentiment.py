"""Tweets with their sentiment, one topic after the other: they differ in what is said, and in who complains."""

import csv
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from olrl.streams.accept import accept_text
from olrl.streams.document import Document
from olrl.streams.fetched import TWEETS
from olrl.streams.pieces import digest
from olrl.streams.scenarios.scenario import TUNING

CLASSES = ("negative", "neutral", "positive")
TOPICS = {
    "airlines": r"@(united|southwestair|jetblue|usairways|americanair|virginamerica)",
    "cars": r"driver|autonomous|self.?driving",
    "coachella": r"coachella",
    "football": r"deflate|superbowl|patriots|seahawks|nfl|brady",
    "apple": r"apple|iphone|aapl",
    "allergy": r"claritin|allerg",
}
STRETCHES = 8
STRETCH_TWEETS = (120, 320)
PARTS = 12  # tweets are dealt to so many parts by their hash; the last one is for tuning


@cache
def _tweets() -> dict[str, tuple[tuple[int, Document], ...]]:
    """By topic, the first that a tweet matches: the part and the tweet."""
    found: dict[str, list[tuple[int, Document]]] = {topic: [] for topic in TOPICS}
    with TWEETS.there().open(encoding="utf-8", errors="replace", newline="") as file:
        for row in csv.DictReader(file):
            text, label = row["text"].strip(), row["sentiment"]
            topic = next((name for name, words in TOPICS.items() if re.search(words, text, re.I)), None)
            if topic is not None and label in CLASSES and accept_text(text) is None:
                document = Document(text=text, label=label, source=topic)
                found[topic].append((digest(text) % PARTS, document))  # the same tweet is in one part
    return {topic: tuple(of) for topic, of in found.items()}


def tweets(number: int) -> Sequence[Document]:
    """Eight stretches of 120 to 320 tweets of one topic; versions below 11 share no tweet.

    ValueError, naming the script, if the tweets were not fetched.
    """
    part = PARTS - 1 if number == TUNING else number % (PARTS - 1)
    rng = np.random.default_rng([number + 1, 4])
    left = {}
    for topic, pairs in _tweets().items():
        mine = [document for of, document in pairs if of == part]
        left[topic] = [mine[k] for k in rng.permutation(len(mine))]
    documents: list[Document] = []
    last = ""
    for segment in range(STRETCHES):
        topics = [topic for topic in TOPICS if topic != last and left[topic]]
        if not topics:
            break
        last = topics[int(rng.integers(len(topics)))]
        length = int(rng.integers(*STRETCH_TWEETS, endpoint=True))
        taken, left[last] = left[last][:length], left[last][length:]
        documents += [replace(document, segment=segment) for document in taken]
    return documents
