"""Streams of every kind of drift, and of quiet, for training controllers and for judging them."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from olrl.streams.ciphers import CipheredCorpus
from olrl.streams.corpus import Corpus
from olrl.streams.drift import DriftConfig, DriftKind
from olrl.streams.pieces import SPLITS, Split

# One in five has no drift: there a tuned constant is optimal, and a controller must at least do no harm.
KINDS: tuple[DriftKind, ...] = (
    "abrupt", "none", "recurring", "burst", "gradual",
    "abrupt", "recurring", "none", "burst", "abrupt",
)  # fmt: skip
N_RECURRING = 3

SuiteName = Literal["drift", "ciphered", "quiet"]
SUITE_NAMES: tuple[SuiteName, ...] = get_args(SuiteName)

# What the models that ship were pretrained on (scripts/make_models.py). Mixed, it leaves nano little to learn: 0.01
# to 0.04 bits a byte on what remains 2.2, where one of the three alone gave 0.2 to 0.5.
HOME = ("manual", "docstrings", "readmes")
HOME_ROUNDS = (30, 50)  # of a stretch at home
VISIT = 0.15  # length of the visit to another domain that follows, as a share of the stretch


@dataclass(frozen=True, kw_only=True)
class SuiteConfig:
    """Stream number k of the suite `drift` has kind `KINDS[k % 10]` and a seed of its own.

    `n_bytes` is a stream's length, `segment_bytes` the range of the stretches between drifts. A domain takes
    part only where it has text enough not to be read twice in the stream. The number of documents written at the
    same time goes through `concurrent` from stream to stream, and is one further every ten streams, so that each
    kind of drift meets all of them: a loss that falls within every document, and one that does not.

    In the suite `ciphered`, half of the domains of each stream are the others with their letters exchanged. The
    streams of `quiet` are of kind `visits`: long stretches of text from `HOME`, on which training teaches next to
    nothing, and short ones of another domain.
    """

    n_bytes: int
    segment_bytes: tuple[int, int]
    split: Split
    seed: int = 0
    suite: SuiteName = "drift"
    concurrent: tuple[int, ...] = (1, 4, 16)

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {self.split!r}")
        if self.suite not in SUITE_NAMES:
            raise ValueError(f"suite must be one of {', '.join(SUITE_NAMES)}, not {self.suite!r}")

    @classmethod
    def for_rounds(
        cls,
        rounds: int,
        *,
        bytes_per_round: int,
        split: Split,
        seed: int = 0,
        segment: tuple[int, int] | None = None,
        suite: SuiteName = "drift",
    ) -> "SuiteConfig":
        """Streams long enough for `rounds` rounds, drifting every `segment` rounds; one round is kept spare.

        By default segments are 10 to 60 rounds long, stretches at home in `quiet` 30 to 50.
        """
        segment = segment or (HOME_ROUNDS if suite == "quiet" else (10, 60))
        return cls(
            n_bytes=(rounds + 1) * bytes_per_round,
            segment_bytes=(segment[0] * bytes_per_round, segment[1] * bytes_per_round),
            split=split,
            seed=seed,
            suite=suite,
        )

    def stream(self, number: int, corpus: Corpus) -> DriftConfig:
        """The settings of stream `number`, the same for the same suite and corpus."""
        turn, place = divmod(number, len(KINDS))
        kind = KINDS[place]
        seed = int(np.random.SeedSequence([self.seed, number, SPLITS.index(self.split)]).generate_state(1)[0])
        if self.suite == "quiet":
            return self._quiet(seed, corpus)
        # Letters that a policy was trained with must not come back where it is judged.
        cipher = number + 1_000 * self.seed + 1_000_000 * SPLITS.index(self.split)
        ciphered = self.suite == "ciphered"
        text = CipheredCorpus(corpus, seed=cipher) if ciphered else corpus
        return DriftConfig(
            kind=kind,
            n_bytes=self.n_bytes,
            segment_bytes=self.segment_bytes,
            n_recurring=N_RECURRING,
            concurrent=self.concurrent[(place + turn) % len(self.concurrent)],
            domains=self._domains(kind, text),
            cipher=cipher if ciphered else None,
            split=self.split,
            seed=seed,
        )

    def _quiet(self, seed: int, corpus: Corpus) -> DriftConfig:
        away = [name for name in corpus.domains(self.split) if name not in HOME]
        return DriftConfig(
            kind="visits",
            n_bytes=self.n_bytes,
            segment_bytes=self.segment_bytes,
            home=HOME,
            visit=VISIT,
            concurrent=16,
            domains=(*HOME, *away),
            split=self.split,
            seed=seed,
        )

    def _domains(self, kind: DriftKind, corpus: Corpus | CipheredCorpus) -> tuple[str, ...]:
        needed = {
            "none": self.n_bytes,
            "burst": self.n_bytes,
            "recurring": self.n_bytes // 2,
        }.get(kind, self.segment_bytes[0] * 2)
        sizes = {name: corpus.text_bytes(name, self.split) for name in corpus.domains(self.split)}
        enough = tuple(name for name, size in sizes.items() if size >= needed)
        if len(enough) >= N_RECURRING:
            return enough
        return tuple(sorted(sizes, key=lambda name: -sizes[name])[:N_RECURRING])
