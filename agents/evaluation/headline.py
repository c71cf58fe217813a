"""The parts of the results page: what is run on what. Sizes are trimmed here and nowhere else."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from olrl.models.load import SHIPPED

from .compare import CompareConfig
from .entrants import ENTRANTS

# Independently trained: olrl train --profile full --seed K --out runs/policies/K
POLICIES = tuple(f"runs/policies/{seed}/policy" for seed in range(3))

MAIN = ("base", "fixed", "drift-reset", "hypergradient", "policy")  # what can be run at no great cost
NEAREST = ("inv-sqrt", "schedule-free", "evolved")  # of the others, once they were tuned
OTHERS = (
    "never", "default", "inv-sqrt", "cosine", "wsd", "plateau", "greedy-lr", "schedule-free", "prodigy",
    "gns-batch", "bandit", "lookahead", "pb2", "evolved", "dqn",
)  # fmt: skip
MARKS = ("fixed", "segment-best")  # 0 and 1 of the score
CONTROLS = ("untrained", "random", "replay", "shuffled", "lr-only", "window-only", "batch-only")
SKIPPING = ("skip-random", "skip-periodic", "skip-detector")
WRONG = (0.125, 8.0)
ALL_BASES = (0.125, 1.0, 8.0)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the page: `entrants` at base multipliers `mults` on the first `streams` streams of a suite.

    `also` run at `also_mults` on the first `also_streams` of these, with the first `also_policies` policies.
    `matched` run at last, trained in as many rounds as the policy was. `settings` are (entrant, name, value), in
    place of an entrant's tuned ones. Parts of one suite, model and length share the runs they have in common.
    """

    name: str
    about: str
    entrants: tuple[str, ...]
    suite: str = "drift"
    model: str = "nano"
    streams: int = 10
    rounds: int = 100
    mults: tuple[float, ...] = (1.0,)
    also: tuple[str, ...] = ()
    also_mults: tuple[float, ...] = WRONG
    also_streams: int = 10
    also_policies: int = 2
    matched: tuple[str, ...] = ()
    policies: tuple[str, ...] = POLICIES[:2]
    price: float = 0.0
    settings: tuple[tuple[str, str, Any], ...] = ()


PARTS: dict[str, Part] = {
    part.name: part
    for part in (
        Part(
            name="nano",
            about="The drift suite",
            entrants=(*MAIN, *NEAREST, "segment-best"),
            streams=20,
            also=(*MAIN, *NEAREST),
            also_streams=4,
            policies=POLICIES,
            settings=(("segment-best", "most", 8),),
        ),
        Part(
            name="rivals",
            about="All other rivals on the drift suite",
            entrants=("base", *MARKS, "policy", *OTHERS),
            policies=POLICIES[:1],
            settings=(("segment-best", "most", 8),),
        ),
        Part(
            name="nano-search",
            about="The searches that control replaces: with hindsight, during the run, by a population",
            entrants=("base", "fixed", "search-hindsight", "re-search", "pb2", "policy"),
            streams=6,
            policies=POLICIES[:1],
            settings=(("search-hindsight", "trials", 32),),
        ),
        Part(
            name="mini",
            about="A wider byte-level model that no policy was trained on",
            suite="transfer",
            model="mini",
            rounds=60,
            entrants=MAIN,
            also=("base", "policy"),
            also_streams=4,
        ),
        Part(
            name="bpe",
            about="A model with another tokenizer that no policy was trained on",
            suite="transfer",
            model="bpe",
            rounds=60,
            entrants=MAIN,
            also=("base", "policy"),
            also_streams=4,
        ),
        Part(
            name="skip",
            about="Streams where most rounds teach nothing, and a price on training",
            suite="quiet",
            entrants=("never", *MAIN, "unpriced"),
            matched=SKIPPING,
            price=0.15,
        ),
        Part(
            name="controls",
            about="What of the policy does the work",
            entrants=("base", "fixed", "policy", *CONTROLS),
            policies=POLICIES[:1],
        ),
        Part(
            name="time",
            about="Text in its order of time",
            suite="time",
            streams=3,
            entrants=("never", *MAIN),
            mults=ALL_BASES,
        ),
    )
}


def configs(part: Part, *, root: Path) -> tuple[list[CompareConfig], list[str]]:
    """The comparisons of a part, and what had to be left out of it, a sentence each.

    Left out are entrants that do not exist (yet), policies whose folder is missing under `root`, and with the last
    policy all that is made of one; the whole part, if its model neither ships nor is a folder. The first
    comparison has all entrants but those to be matched (`matched_config` makes theirs, once the first is there);
    the second `also`, at `also_mults`.
    """
    if part.model not in SHIPPED and not Path(part.model).is_dir():
        return [], [f"all of it: there is no model {part.model!r}"]
    policies = [str(root / folder) for folder in part.policies if (root / folder / "policy.json").is_file()]
    skipped = [
        f"no policy in {folder}" for folder in part.policies if not (root / folder / "policy.json").is_file()
    ]
    needs_policy = {name for name, entrant in ENTRANTS.items() if entrant.policy in ("given", "shape")}
    unknown = [name for name in part.entrants if name not in ENTRANTS]
    skipped += [f"no entrant {name!r}" for name in unknown]
    if not policies:
        skipped += [f"{name!r} needs a policy" for name in part.entrants if name in needs_policy - {*unknown}]
    there = [name for name in part.entrants if name in ENTRANTS and (policies or name not in needs_policy)]
    if not there:
        return [], skipped
    first = CompareConfig(
        controllers=tuple(there),
        suite=part.suite,
        streams=part.streams,
        rounds=part.rounds,
        model=part.model,
        policies=tuple(policies) or ("default",),
        settings=part.settings,
        base_lr_mult=part.mults,
        price=part.price,
    )
    also = tuple(name for name in part.also if name in there and ENTRANTS[name].uses_base)
    if not also:
        return [first], skipped
    fewer = replace(
        first,
        controllers=also,
        base_lr_mult=part.also_mults,
        streams=min(part.also_streams, part.streams),
        policies=first.policies[: part.also_policies],
    )
    return [first, fewer], skipped


def only(part: Part, entrants: Sequence[str]) -> Part:
    """The part with these of its entrants alone; those that are matched to the policy go with it."""
    return replace(
        part,
        entrants=tuple(name for name in part.entrants if name in entrants),
        also=tuple(name for name in part.also if name in entrants),
        matched=part.matched if "policy" in entrants else (),
    )


def smaller(part: Part, *, streams: int | None, rounds: int | None, model: str | None) -> Part:
    """The part cut down, for trying it out."""
    return replace(
        part,
        streams=min(streams or part.streams, part.streams),
        rounds=min(rounds or part.rounds, part.rounds),
        model=model or part.model,
    )
