from olrl.streams.corpus import load_corpus
from olrl.streams.suite import KINDS, SuiteConfig


def test_every_kind_of_drift_meets_every_concurrency() -> None:
    corpus = load_corpus()
    suite = SuiteConfig.for_rounds(12, bytes_per_round=1024, split="validation")
    met = {(drift.kind, drift.concurrent) for drift in (suite.stream(k, corpus) for k in range(30))}
    assert met == {(kind, concurrent) for kind in KINDS for concurrent in (1, 4, 16)}


def test_ten_streams_hold_no_concurrency_back() -> None:
    corpus = load_corpus()
    suite = SuiteConfig.for_rounds(12, bytes_per_round=1024, split="validation")
    counts = [suite.stream(k, corpus).concurrent for k in range(10)]
    assert sorted(map(counts.count, (1, 4, 16))) == [3, 3, 4]
