import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olrl.streams.document import Document
from olrl.streams.drift import DRIFT_KINDS, DriftConfig, DriftKind, Segment, drift_stream, plan_segments
from olrl.streams.noise import Noise
from olrl.streams.pieces import Split


class Letters:
    """Domains of ten documents of 100 bytes, told apart by their letter; `é` takes two bytes.

    In the fifth domain all characters of a document are different, and take three bytes.
    """

    def domains(self, split: Split) -> tuple[str, ...]:
        return ("a", "b", "c", "é", "many")

    def documents(self, domain: str, split: Split) -> Sequence[Document]:
        if domain == "many":
            return [Document(text="".join(chr(0x4E00 + 40 * i + j) for j in range(33))) for i in range(10)]
        size = len(domain.encode())
        return [Document(text=f"{i}\n" + domain * (98 // size), source=domain) for i in range(10)]


def config(kind: DriftKind = "abrupt", **changes: Any) -> DriftConfig:
    return DriftConfig(**{"kind": kind, "n_bytes": 5_000, "segment_bytes": (300, 600), **changes})


def stream(kind: DriftKind = "abrupt", **changes: Any) -> list[Document]:
    return list(drift_stream(config(kind, **changes), Letters()))


def plan(kind: DriftKind = "abrupt", **changes: Any) -> list[Segment]:
    return plan_segments(config(kind, **changes), Letters())


@given(st.sampled_from(DRIFT_KINDS), st.integers(0, 50), st.booleans())
def test_truth_in_documents_is_the_plan(kind: DriftKind, seed: int, noisy: bool) -> None:
    changes = {"seed": seed, "noise": Noise(kind="shuffle") if noisy else None}
    segments = plan(kind, **changes)
    played: Counter[int] = Counter()
    for document in stream(kind, **changes):
        segment = segments[document.segment]
        played[document.segment] += document.n_bytes
        assert document.source in (segment.domain, segment.successor, *segment.among)
    assert sum(segment.n_bytes for segment in segments) == 5_000
    for number, segment in enumerate(segments):
        assert segment.n_bytes - 3 <= played[number] <= segment.n_bytes


@given(st.sampled_from(DRIFT_KINDS), st.integers(0, 50), st.booleans())
def test_every_new_segment_is_a_true_change(kind: DriftKind, seed: int, noisy: bool) -> None:
    noise = Noise() if noisy else None
    for before, after in itertools.pairwise(plan(kind, seed=seed, noise=noise)):
        assert (before.domain, before.successor, before.noise) != (after.domain, after.successor, after.noise)


def test_same_seed_same_stream_another_seed_another() -> None:
    for kind in DRIFT_KINDS:
        assert stream(kind, seed=1) == stream(kind, seed=1) != stream(kind, seed=2)


def test_abrupt_changes_domain_at_every_segment_and_lengths_are_in_range() -> None:
    segments = plan()
    assert len({segment.domain for segment in segments}) == 5
    assert all(a.domain != b.domain for a, b in itertools.pairwise(segments))
    assert all(300 <= segment.n_bytes <= 600 for segment in segments[:-1])


def test_recurring_domains_are_few_and_come_back() -> None:
    domains = [segment.domain for segment in plan("recurring", n_recurring=2)]
    assert len(set(domains)) == 2
    assert domains[0] == domains[2]


def test_none_is_one_segment_of_one_domain() -> None:
    assert [segment.n_bytes for segment in plan("none")] == [5_000]


def test_bursts_come_and_go_within_one_domain() -> None:
    changes = {"noise": Noise(rate=0.5), "domains": ("many",), "n_bytes": 50_000}
    segments = plan("burst", **changes)
    assert [segment.noise is not None for segment in segments] == [i % 2 == 1 for i in range(len(segments))]
    originals = {document.text for document in Letters().documents("many", "test")}
    for document in stream("burst", **changes):
        if document.n_bytes == 99:  # the last of a segment is cut
            assert (document.text in originals) == (segments[document.segment].noise is None)


def test_bursts_on_top_of_abrupt_drift() -> None:
    segments = plan(noise=Noise())
    noisy = [i for i, segment in enumerate(segments) if segment.noise]
    assert noisy
    assert all(segments[i].domain == segments[i - 1].domain for i in noisy)


def test_gradual_drift_moves_from_one_domain_to_the_next() -> None:
    segments = plan("gradual", n_bytes=200_000, segment_bytes=(20_000, 20_000), domains=("a", "b"))
    documents = stream("gradual", n_bytes=200_000, segment_bytes=(20_000, 20_000), domains=("a", "b"))
    assert [segment.successor is not None for segment in segments[:4]] == [False, True, False, True]
    early, late = Counter[bool](), Counter[bool]()
    for number, segment in enumerate(segments):
        mixed = [
            d.source == segment.successor for d in documents if d.segment == number and segment.successor
        ]
        half = len(mixed) // 2
        early.update(mixed[:half])
        late.update(mixed[half:])
    assert early[True] / early.total() == pytest.approx(0.25, abs=0.08)
    assert late[True] / late.total() == pytest.approx(0.75, abs=0.08)


def test_no_document_comes_again_before_all_have_come() -> None:
    documents = stream("none", n_bytes=3_000, domains=("b",))
    first, second = documents[:10], documents[10:20]
    assert {d.text for d in first} == {d.text for d in second}
    assert len({d.text for d in first}) == 10
    assert [d.text for d in first] != [d.text for d in second]


def test_cut_never_splits_a_character() -> None:
    documents = stream("recurring", domains=("é", "a"), segment_bytes=(301, 301))
    assert all(set(d.text) <= set("0123456789\né") for d in documents if d.source == "é")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "sudden"}, "drift kind must be one of abrupt"),
        ({"n_bytes": 0}, "n_bytes must be at least 1"),
        ({"segment_bytes": (600, 300)}, "segment_bytes"),
        ({"segment_bytes": (1, 300)}, "segment_bytes"),
        ({"mix": 0.0}, "mix"),
        ({"n_recurring": 1}, "n_recurring"),
        ({"domains": ()}, "domains"),
    ],
)
def test_settings_are_checked(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(**changes)


def test_wrong_domains_are_named_before_the_stream_starts() -> None:
    with pytest.raises(ValueError, match="no domain 'z' in split 'test'; there are a, b, c, é, many"):
        drift_stream(config(domains=("a", "z")), Letters())
    with pytest.raises(ValueError, match="abrupt drift needs at least 2 domains, not only 'a'"):
        drift_stream(config(domains=("a",)), Letters())


def test_visits_are_short_and_always_go_home() -> None:
    segments = plan("visits", n_bytes=20_000, home=("a", "b"), visit=0.2)
    assert len(segments) > 6
    assert [segment.domain in ("a", "b") for segment in segments] == [
        k % 2 == 0 for k in range(len(segments))
    ]
    for stretch, visit in itertools.pairwise(segments[:-1]):
        if stretch.domain in ("a", "b"):
            assert 60 <= visit.n_bytes <= 120  # a fifth of 300 to 600


def test_all_of_home_is_mixed_in_a_stretch_and_nothing_of_it_in_a_visit() -> None:
    changes = {"n_bytes": 20_000, "home": ("a", "b"), "segment_bytes": (2_000, 3_000)}
    segments = plan("visits", **changes)
    sources: dict[int, set[str]] = {}
    for document in stream("visits", **changes):
        sources.setdefault(document.segment, set()).add(document.source)
    for number, found in sources.items():
        assert found == ({"a", "b"} if segments[number].among else {segments[number].domain})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"home": ("a",), "domains": ("a",)}, "at least 2 domains"),
        ({"home": ("a", "b"), "domains": ("a", "b")}, "all domains are home"),
        ({"home": ("z",)}, "no domain 'z'"),
        ({"home": ()}, "home must name"),
        ({"visit": 0.0}, "visit must be"),
    ],
)
def test_visits_without_a_home_or_a_place_to_go_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        plan("visits", **changes)
