"""Conversations and questions of chatterbot-corpus: users who come and go, each with subjects of their own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import yaml

from olrl.streams.document import Document
from olrl.streams.installed import folder_of
from olrl.streams.pieces import split_of
from olrl.streams.scenarios.scenario import TUNING

# Who talks about what: files of the corpus.
USERS: dict[str, tuple[str, ...]] = {
    "helpdesk": ("tech_support",),
    "programmer": ("coding", "computers"),
    "quizzer": ("trivia", "science", "history", "literature", "sports", "movies", "politics", "money"),
    "talker": (
        "ai",
        "botprofile",
        "conversations",
        "emotion",
        "food",
        "gossip",
        "greetings",
        "humor",
        "psychology",
    ),
}
STRETCH_BYTES = (3_000, 8_000)  # a user stays for so long
QUESTIONS, STRETCH_QUESTIONS = 480, 60
POPULAR = 1.0  # exponent of Zipf's law: how often questions come again


@dataclass(frozen=True)
class _Conversation:
    user: str
    lines: tuple[str, ...]
    is_tuning: bool


@cache
def _conversations() -> tuple[_Conversation, ...]:
    """All English conversations; those of the builtin training split are for tuning, no other ones."""
    folder = folder_of("chatterbot_corpus")
    if folder is None:
        raise ValueError("the conversations are missing: pip install 'chatterbot-corpus>=1.3.3'")
    found = []
    for user, files in USERS.items():
        for file in files:
            path = folder / "data" / "english" / f"{file}.yml"
            rows = yaml.safe_load(path.read_text(encoding="utf-8")).get("conversations") or []
            for row in rows:
                lines = tuple(str(line).strip() for line in row if line is not None and str(line).strip())
                if len(lines) > 1:
                    split = split_of(f"dialogue/english/{file}/{lines[0]}")  # as the builtin corpus has it
                    found.append(_Conversation(user, lines, split == "train"))
    return tuple(found)


def conversations(number: int) -> Sequence[Document]:
    """All conversations once, in stretches of 3 to 8 kB of one user each; versions are orders."""
    rng = np.random.default_rng([number + 1, 1])
    left = {user: _shuffled(number, user, rng) for user in USERS}
    documents: list[Document] = []
    segment, last = 0, ""
    while any(left.values()):
        users = [user for user in USERS if left[user] and user != last] or [u for u in USERS if left[u]]
        sizes = np.array([sum(len("\n".join(c.lines)) for c in left[user]) for user in users], dtype=float)
        last = users[
            int(rng.choice(len(users), p=sizes / sizes.sum()))
        ]  # so that no user is left over at the end
        room = int(rng.integers(*STRETCH_BYTES, endpoint=True))
        while left[last] and room > 0:
            text = "\n".join(left[last].pop().lines)
            room -= len(text)
            documents.append(Document(text=text, source=last, segment=segment))
        segment += 1
    return documents


def questions(number: int) -> Sequence[Document]:
    """480 questions with their answers as labels, users in turn; versions are draws from the same questions.

    In a stretch of 60 a user asks questions of theirs by Zipf's law, so that some come again and again; which ones
    are popular is drawn anew for every version.
    """
    rng = np.random.default_rng([number + 1, 2])
    asked = {user: [c for c in _shuffled(number, user, rng) if len(c.lines) == 2] for user in USERS}
    return list(_asked(asked, rng))


def _asked(asked: dict[str, list[_Conversation]], rng: np.random.Generator) -> Iterator[Document]:
    last = ""
    for segment in range(QUESTIONS // STRETCH_QUESTIONS):
        users = [user for user in USERS if user != last]
        last = users[int(rng.integers(len(users)))]
        pool = asked[last]
        weights = 1.0 / np.arange(1, len(pool) + 1) ** POPULAR
        for k in rng.choice(len(pool), size=STRETCH_QUESTIONS, p=weights / weights.sum()):
            question, answer = pool[int(k)].lines
            yield Document(text=question, label=answer, source=last, segment=segment)


def _shuffled(number: int, user: str, rng: np.random.Generator) -> list[_Conversation]:
    mine = [c for c in _conversations() if c.user == user and c.is_tuning == (number == TUNING)]
    return [mine[k] for k in rng.permutation(len(mine))]
