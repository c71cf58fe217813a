"""The same questions for every kind of drift and every stream of the suite."""

import itertools
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from olrl.streams.corpus import load_corpus
from olrl.streams.document import Document
from olrl.streams.drift import DRIFT_KINDS, DriftConfig, DriftKind, drift_stream
from olrl.streams.pieces import SPLITS, Split
from olrl.streams.suite import KINDS, SuiteConfig

BYTES = 40_000


def play(
    kind: DriftKind, *, seed: int = 3, n_bytes: int = BYTES, split: Split = "train"
) -> Iterator[Document]:
    config = DriftConfig(kind=kind, n_bytes=n_bytes, segment_bytes=(4_000, 8_000), seed=seed, split=split)
    return drift_stream(config, load_corpus())


@pytest.mark.usefixtures("global_generators_untouched")
@pytest.mark.parametrize("kind", DRIFT_KINDS)
class TestEveryKindOfDrift:
    def test_same_seed_same_documents(self, kind: DriftKind) -> None:
        assert list(play(kind)) == list(play(kind))

    def test_another_seed_other_documents(self, kind: DriftKind) -> None:
        assert [d.text for d in play(kind, seed=3)] != [d.text for d in play(kind, seed=4)]

    def test_two_streams_do_not_disturb_each_other(self, kind: DriftKind) -> None:
        alone = list(play(kind))
        taken_in_turns = [first for first, _ in zip(play(kind), play(kind, seed=4), strict=False)]
        assert taken_in_turns == alone[: len(taken_in_turns)]

    def test_has_the_length_that_was_asked_for(self, kind: DriftKind) -> None:
        documents = list(play(kind))
        cuts = documents[-1].segment + 1
        total = sum(document.n_bytes for document in documents)
        assert abs(total - BYTES) <= 4 * cuts  # a cut never splits a character

    def test_truth_starts_at_zero_and_rises_one_by_one(self, kind: DriftKind) -> None:
        segments = [document.segment for document in play(kind)]
        assert segments[0] == 0
        assert set(np.diff(segments).tolist()) <= {0, 1}
        assert (max(segments) > 0) == (kind != "none")

    def test_plays_every_split(self, kind: DriftKind) -> None:
        for split in SPLITS:
            assert sum(document.n_bytes for document in play(kind, split=split, n_bytes=5_000)) > 4_990

    def test_memory_stays_flat(self, kind: DriftKind) -> None:
        held, documents = [], play(kind, n_bytes=400_000)
        next(documents)  # the domains' texts are loaded once, and stay
        for _ in itertools.islice(documents, 60):
            pass
        tracemalloc.start()
        try:
            for _ in range(2):
                for _document in itertools.islice(documents, 60):
                    held.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
        # A deck dealt anew, or a domain met for the first time, is not a leak; text that is kept would be.
        assert held[-1] - held[len(held) // 2] < 2_000_000


@pytest.mark.parametrize("number", range(len(KINDS)))
def test_every_stream_of_the_suite_is_its_own_and_stays_so(number: int) -> None:
    suite = SuiteConfig.for_rounds(12, bytes_per_round=1024, split="validation", seed=1)
    corpus = load_corpus()
    once, again = (list(drift_stream(suite.stream(number, corpus), corpus)) for _ in range(2))
    other = list(drift_stream(suite.stream(number + len(KINDS), corpus), corpus))
    assert once == again
    assert [d.text for d in once] != [d.text for d in other]
