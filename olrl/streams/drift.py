"""Seeded drift and noise composed on top of a corpus, with the truth in every document's `segment`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, get_args

import numpy as np

from olrl.streams.accept import accept_text
from olrl.streams.ciphers import CipheredCorpus
from olrl.streams.document import Document
from olrl.streams.noise import Noise, corrupt
from olrl.streams.pieces import Split, cut

DriftKind = Literal["abrupt", "gradual", "recurring", "none", "burst", "visits"]
DRIFT_KINDS: tuple[DriftKind, ...] = get_args(DriftKind)


class TextSource(Protocol):
    """What drift is composed from: `olrl.streams.corpus.Corpus`, or anything with domains of documents."""

    def domains(self, split: Split) -> tuple[str, ...]:
        """Names of the domains in a split."""

    def documents(self, domain: str, split: Split) -> Sequence[Document]:
        """Documents of one of them."""


@dataclass(frozen=True, kw_only=True)
class DriftConfig:
    """A stream of `n_bytes` bytes of text with drift of one kind.

    kind:
        abrupt: another domain from one byte to the next, at the end of each segment.
        gradual: over the last `mix` of each stretch, text comes from the next domain with a probability that
            rises from 0 to 1, in parts of about 400 bytes; the segment number goes up where mixing starts and
            where it ends.
        recurring: as abrupt, but only `n_recurring` domains take part and come back.
        none: one domain throughout.
        burst: one domain, in which stretches corrupted by `noise` (by default, a tenth of the characters
            replaced), half as long as the clean ones, come and go.
        visits: stretches in which each text is from a random one of the domains `home`, and after each a visit to
            another domain, `visit` as long.
    n_bytes: UTF-8 bytes of text in all.
    segment_bytes: smallest and largest length of a stretch; lengths are drawn uniformly.
    noise: with `burst`, what bursts do; with another kind, bursts on top of the drift: a quarter of every
        second stretch, just after its middle, is corrupted.
    mix: share of a stretch over which gradual drift mixes.
    home: with `visits`, the domains that are mixed in the long stretches; None means the first of `domains`.
    visit: with `visits`, the length of a visit as a share of a stretch's.
    concurrent: documents of a domain that are written at the same time. 1 means one after the other; with more,
        each part of about 300 bytes comes from one of so many open documents, as where many people write into one
        stream: the next chunk is then no longer the rest of the last one's document.
    domains: domains to draw from; None means all of the split.
    cipher: if given, every domain is there a second time with its letters exchanged as this number decides: text
        that no model has seen (`olrl.streams.ciphers`).
    split: which documents may be used.
    seed: decides everything that is drawn.

    >>> DriftConfig(kind="sudden", n_bytes=1000)
    Traceback (most recent call last):
    ...
    ValueError: drift kind must be one of abrupt, gradual, recurring, none, burst, visits, not 'sudden'
    """

    kind: DriftKind
    n_bytes: int
    segment_bytes: tuple[int, int] = (10_000, 50_000)
    noise: Noise | None = None
    mix: float = 0.5
    home: tuple[str, ...] | None = None
    visit: float = 0.15
    concurrent: int = 1
    n_recurring: int = 3
    domains: tuple[str, ...] | None = None
    cipher: int | None = None
    split: Split = "test"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in DRIFT_KINDS:
            raise ValueError(f"drift kind must be one of {', '.join(DRIFT_KINDS)}, not {self.kind!r}")
        if self.n_bytes < 1:
            raise ValueError(f"n_bytes must be at least 1, not {self.n_bytes!r}")
        low, high = self.segment_bytes
        if not 64 <= low <= high:
            raise ValueError(
                f"segment_bytes must be (smallest, largest), from 64 bytes up, not {(low, high)!r}"
            )
        if not 0 < self.mix <= 1:
            raise ValueError(f"mix must be in (0, 1], a share of a stretch, not {self.mix!r}")
        if not 0 < self.visit <= 1:
            raise ValueError(f"visit must be in (0, 1], a share of a stretch, not {self.visit!r}")
        if self.home is not None and not self.home:
            raise ValueError("home must name at least one domain, or be None for the first")
        if self.concurrent < 1:
            raise ValueError(f"concurrent must be at least 1 document, not {self.concurrent!r}")
        if self.cipher is not None and self.cipher < 0:
            raise ValueError(f"cipher must be at least 0, or None for text as it is, not {self.cipher!r}")
        if self.n_recurring < 2:
            raise ValueError(f"n_recurring must be at least 2 domains, not {self.n_recurring!r}")
        if self.domains is not None and not self.domains:
            raise ValueError("domains must name at least one domain, or be None for all of the split")


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch between two true changes.

    `n_bytes` long, of documents of `domain`; if there is a `successor`, a document is drawn from it with a
    probability that rises linearly from 0 to 1 over the segment. With `among`, each is of a random one of those
    domains, of which `domain` is the first. `noise` is the corruption in force.
    """

    n_bytes: int
    domain: str
    successor: str | None = None
    noise: Noise | None = None
    among: tuple[str, ...] = ()


def plan_segments(config: DriftConfig, corpus: TextSource) -> list[Segment]:
    """The segments of a stream, the last one cut so that they sum to `config.n_bytes`.

    Raises ValueError for a domain that the split does not have, or too few domains to change between.
    """
    rng = np.random.default_rng([config.seed, 0])
    names = _domains(config, _text_of(config, corpus), rng)
    home = config.home or names[:1]
    segments: list[Segment] = []
    left = config.n_bytes
    first = home[:1] if config.kind == "visits" else names
    domain, stretch = first[int(rng.integers(len(first)))], 0
    while left > 0:
        length = int(rng.integers(config.segment_bytes[0], config.segment_bytes[1], endpoint=True))
        others = [name for name in names if name != domain]
        if config.kind == "visits":
            others = [name for name in names if name not in home] if domain in home else [home[0]]
        successor = others[int(rng.integers(len(others)))] if others else domain
        for segment in _stretch(config, stretch, length, domain, successor):
            if left > 0 and segment.n_bytes > 0:
                _append(segments, replace(segment, n_bytes=min(left, segment.n_bytes)))
                left -= segment.n_bytes
        domain, stretch = successor, stretch + 1
    return segments


def _append(segments: list[Segment], segment: Segment) -> None:
    """Append, or lengthen the last segment where nothing changes between the two."""
    if segments and segment.successor is None and replace(segments[-1], n_bytes=segment.n_bytes) == segment:
        segments[-1] = replace(segment, n_bytes=segments[-1].n_bytes + segment.n_bytes)
    else:
        segments.append(segment)


def _domains(config: DriftConfig, corpus: TextSource, rng: np.random.Generator) -> tuple[str, ...]:
    known = corpus.domains(config.split)
    names = config.domains or known
    if config.kind == "visits":
        names = (*(config.home or ()), *names)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"there is no domain {unknown[0]!r} in split {config.split!r}; there are {', '.join(known)}"
        )
    names = tuple(dict.fromkeys(names))
    if config.kind in ("none", "burst"):
        return (names[int(rng.integers(len(names)))],)
    if len(names) < 2:
        raise ValueError(f"{config.kind} drift needs at least 2 domains, not only {names[0]!r}")
    if config.kind == "visits" and set(names) == set(config.home or ()):
        raise ValueError("all domains are home: visits need another")
    if config.kind == "recurring":
        chosen = rng.permutation(len(names))[: config.n_recurring]
        return tuple(names[i] for i in chosen)
    return names


def _stretch(config: DriftConfig, index: int, length: int, domain: str, successor: str) -> list[Segment]:
    """The segments of one stretch: clean, mixing or corrupted parts."""
    if config.kind == "burst":
        noise = config.noise or Noise(rate=0.1)
        return [
            Segment(n_bytes=length, domain=domain),
            Segment(n_bytes=length // 2, domain=domain, noise=noise),
        ]
    among: tuple[str, ...] = ()
    if config.kind == "visits" and index % 2 == 0:
        among = config.home or (domain,)
    elif config.kind == "visits":
        length = max(1, int(length * config.visit))
    mixing = int(length * config.mix) if config.kind == "gradual" else 0
    clean = length - mixing
    whole = Segment(n_bytes=clean, domain=domain, among=among)
    parts = [whole]
    if config.noise is not None and index % 2:
        burst = replace(whole, n_bytes=clean // 4, noise=config.noise)
        before, after = clean // 2, clean - clean // 2 - clean // 4
        parts = [replace(whole, n_bytes=before), burst, replace(whole, n_bytes=after)]
    return [*parts, Segment(n_bytes=mixing, domain=domain, successor=successor)]


def drift_stream(config: DriftConfig, corpus: TextSource) -> Iterator[Document]:
    """The stream that `config` describes; the same documents for the same settings and corpus.

    Documents of a domain come in a random order, each once before any comes again. The last document of a
    segment is cut at a character boundary, so a segment may be up to 3 bytes shorter than planned.
    """
    segments = plan_segments(config, corpus)  # here, not in the generator: mistakes show at once
    return _play(segments, config, _text_of(config, corpus))


def _text_of(config: DriftConfig, corpus: TextSource) -> TextSource:
    return corpus if config.cipher is None else CipheredCorpus(corpus, seed=config.cipher)


def _play(segments: list[Segment], config: DriftConfig, corpus: TextSource) -> Iterator[Document]:
    rng = np.random.default_rng([config.seed, 1])
    decks: dict[str, _Deck] = {}
    for number, segment in enumerate(segments):
        left = segment.n_bytes
        while left > 0:
            name = segment.domain
            if segment.successor and rng.random() * segment.n_bytes < segment.n_bytes - left:
                name = segment.successor
            if len(segment.among) > 1:
                name = segment.among[int(rng.integers(len(segment.among)))]
            if name not in decks:
                decks[name] = _Deck(corpus.documents(name, config.split), rng, concurrent=config.concurrent)
            whole = segment.successor is None and config.concurrent == 1
            text = decks[name].whole() if whole else decks[name].part()
            if segment.noise is not None:
                text = corrupt(text, segment.noise, rng)
            content = text.encode("utf-8")[:left]
            left -= len(content)
            text = content.decode("utf-8", errors="ignore")  # drops what is left of a character cut in two
            if accept_text(text) is None:
                yield Document(text=text, source=name, segment=number)


class _Deck:
    """Texts of a domain in a random order, each once before any comes again; whole, or a part at a time.

    Parts come from `concurrent` open documents, each time from a random one of them.
    """

    def __init__(self, documents: Sequence[Document], rng: np.random.Generator, *, concurrent: int) -> None:
        self._documents, self._rng = documents, rng
        self._order: list[int] = []
        self._open: list[list[str]] = [[] for _ in range(concurrent)]  # the parts left of each

    def whole(self) -> str:
        if not self._order:
            self._order = self._rng.permutation(len(self._documents)).tolist()
        return self._documents[self._order.pop()].text

    def part(self) -> str:
        which = int(self._rng.integers(len(self._open))) if len(self._open) > 1 else 0
        if not self._open[which]:
            self._open[which] = cut(self.whole(), target=300, limit=500)[::-1]
        return self._open[which].pop()
