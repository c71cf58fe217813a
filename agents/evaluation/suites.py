"""The streams on which entrants are judged, by the name of their suite."""

from collections.abc import Callable
from dataclasses import dataclass

from olrl.streams.corpus import Corpus, load_corpus
from olrl.streams.drift import DriftConfig, plan_segments
from olrl.streams.pieces import Split
from olrl.streams.release_notes import release_notes
from olrl.streams.scenarios import SCENARIOS
from olrl.streams.suite import HOME, SuiteConfig, SuiteName

from .jobs import StreamRef
from .scenarios import scenario_streams


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """How many streams of a suite, how long, of which split; `bytes_per_round` is a chunk's."""

    streams: int
    rounds: int
    bytes_per_round: int
    split: Split = "test"
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A suite's streams, what they are, and what it is usually run with."""

    name: str
    about: str
    build: Callable[[Wanted], list[StreamRef]]
    base_lr_mult: tuple[float, ...] = (0.125, 1.0, 8.0)
    price: float = 0.0


def streams_of(suite: str, wanted: Wanted) -> list[StreamRef]:
    """The streams of a suite, the same for the same corpus; some suites have fewer than are wanted.

    ValueError for a suite that does not exist, and for text that a suite does not have.
    """
    if suite not in SUITES:
        raise ValueError(f"unknown suite {suite!r}; choose from {', '.join(SUITES)}")
    return SUITES[suite].build(wanted)


def quiet_share(drift: DriftConfig, corpus: Corpus) -> float:
    """Share of a stream's bytes that are at home, 0 to 1: where training gains next to nothing."""
    segments = plan_segments(drift, corpus)
    return sum(s.n_bytes for s in segments if s.domain in HOME) / sum(s.n_bytes for s in segments)


def _composed(suite: SuiteName, *, name: str) -> Callable[[Wanted], list[StreamRef]]:
    """Streams drawn from the corpus, as controllers are trained on too (in another split)."""

    def build(wanted: Wanted) -> list[StreamRef]:
        corpus = load_corpus()
        streams = SuiteConfig.for_rounds(
            wanted.rounds,
            bytes_per_round=wanted.bytes_per_round,
            split=wanted.split,
            seed=wanted.seed,
            suite=suite,
        )
        drifts = [streams.stream(k, corpus) for k in range(wanted.streams)]
        return [
            StreamRef(name=f"{name}-{wanted.split}-{k}", kind=drift.kind, drift=drift)
            for k, drift in enumerate(drifts)
        ]

    return build


def _time(wanted: Wanted) -> list[StreamRef]:
    if wanted.split != "test":
        raise ValueError(f"suite 'time' has one split, test, not {wanted.split!r}: nothing is chosen on it")
    names = ["releases", *(f"releases/{project}" for project in release_notes())]
    return [
        StreamRef(name=f"time-{name.replace('/', '-')}", kind="time", source=f"builtin:{name}")
        for name in names[: wanted.streams]
    ]


def _scenarios(names: tuple[str, ...]) -> Callable[[Wanted], list[StreamRef]]:
    def build(wanted: Wanted) -> list[StreamRef]:
        if wanted.split != "test":
            raise ValueError(f"scenarios have one split, test, not {wanted.split!r}")
        return scenario_streams(names, streams=wanted.streams)

    return build


SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite(
            name="drift",
            about="natural text with abrupt, gradual and recurring switches of domain, noise bursts, and no drift",
            build=_composed("drift", name="drift"),
        ),
        Suite(
            name="time",
            about="release notes of installed projects in their order of time, by project and all together",
            build=_time,
        ),
        Suite(
            name="quiet",
            about="long stretches of what the models were pretrained on, mixed from many documents, and short "
            "visits to other domains: for saving compute",
            build=_composed("quiet", name="quiet"),
            base_lr_mult=(1.0,),
            price=0.15,
        ),
        Suite(
            name="transfer",
            about="the streams of drift, for models, optimizers and base rates that the policy never saw",
            build=_composed("drift", name="transfer"),
        ),
        Suite(
            name="ciphered",
            about="the streams of drift, half of the domains with their letters exchanged: text no model has seen",
            build=_composed("ciphered", name="ciphered"),
        ),
        Suite(
            name="scenarios",
            about="the five uses, all streams of the suites below; their losses are bits a byte or bits a label",
            build=_scenarios(tuple(SCENARIOS)),
            base_lr_mult=(1.0,),
        ),
        *(
            Suite(name=name, about=scenario.about, build=_scenarios((name,)), base_lr_mult=(1.0,))
            for name, scenario in SCENARIOS.items()
        ),
    )
}
