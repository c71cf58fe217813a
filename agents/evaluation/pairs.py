"""An entrant beside its rival, stream by stream: what every statistic starts from."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Losses of an entrant and of a rival on the same streams, bits a byte.

    `loss` has shape (policies, streams), `rival` shape (streams,); learner seeds are averaged. An entrant without a
    policy has one row, and `policies` holds its one `None`.
    """

    entrant: str
    against: str
    policies: tuple[int | None, ...]
    streams: tuple[str, ...]
    kinds: tuple[str, ...]
    loss: NDArray[np.float64]
    rival: NDArray[np.float64]

    @property
    def difference(self) -> NDArray[np.float64]:
        """Loss minus the rival's, bits a byte, shape (policies, streams); negative is better."""
        return self.loss - self.rival

    @property
    def percent(self) -> NDArray[np.float64]:
        """The difference in per cent of the rival's loss on that stream, shape (policies, streams)."""
        return 100 * self.difference / self.rival

    def of_kind(self, kind: str) -> "Pairs":
        """Only the streams with one kind of drift."""
        return self._at([k for k, other in enumerate(self.kinds) if other == kind])

    def on(self, streams: Collection[str]) -> "Pairs":
        """Only some of the streams."""
        return self._at([k for k, stream in enumerate(self.streams) if stream in streams])

    def _at(self, places: list[int]) -> "Pairs":
        return replace(
            self,
            streams=tuple(self.streams[k] for k in places),
            kinds=tuple(self.kinds[k] for k in places),
            loss=self.loss[:, places],
            rival=self.rival[places],
        )


def pair(entrant: Sequence[Row], rival: Sequence[Row]) -> Pairs:
    """Pair the rows of one entrant (at one base) with those of a rival that has one row a stream and seed.

    Rows are those of results.json. The entrant must have run with every policy on every stream that either ran on:
    ValueError names the first stream that is missing.

    >>> row = {"stream": "a", "drift_kind": "abrupt", "policy_seed": None, "seed": 0}
    >>> fixed = {**row, "controller": "fixed", "loss_bpb": 2.0}
    >>> base = {**row, "controller": "base", "loss_bpb": 2.5}
    >>> pair([base], [fixed]).percent
    array([[25.]])
    """
    if not entrant or not rival:
        raise ValueError("nothing to pair: " + ("the rival" if entrant else "the entrant") + " has no runs")
    kinds = {row["stream"]: row["drift_kind"] for row in [*entrant, *rival]}
    mine, theirs = _by_policy(entrant), _by_policy(rival)
    if len(theirs) != 1:
        raise ValueError(f"a rival has one policy at most, {rival[0]['controller']!r} has {len(theirs)}")
    names = str(entrant[0]["controller"]), str(rival[0]["controller"])
    [others] = theirs.values()
    return Pairs(
        entrant=names[0],
        against=names[1],
        policies=tuple(mine),
        streams=tuple(kinds),
        kinds=tuple(kinds.values()),
        loss=np.array([_losses(losses, kinds, names[0], policy) for policy, losses in mine.items()]),
        rival=_losses(others, kinds, names[1], None),
    )


def pair_policies(entrant: Sequence[Row], rival: Sequence[Row]) -> Pairs:
    """Pair two that are both made from policies, each policy with itself, all policies' streams side by side.

    So a policy's streams are resampled as streams of their own: its luck falls out of the difference.
    """
    both = ([{**row, "stream": f"{row['policy_seed']}: {row['stream']}", "policy_seed": None} for row in rows]
            for rows in (entrant, rival))  # fmt: skip
    return pair(*both)


def _by_policy(rows: Sequence[Row]) -> dict[int | None, dict[str, list[tuple[int, float]]]]:
    found: dict[int | None, dict[str, list[tuple[int, float]]]] = {}
    for row in rows:
        runs = found.setdefault(row["policy_seed"], {}).setdefault(row["stream"], [])
        if any(seed == row["seed"] for seed, _ in runs):
            raise ValueError(
                f"{row['controller']!r} has two runs of policy seed {row['policy_seed']} and seed {row['seed']} "
                f"on stream {row['stream']!r}; give rows of one model and one base multiplier"
            )
        runs.append((row["seed"], row["loss_bpb"]))
    return found


def _losses(
    runs: Mapping[str, Sequence[tuple[int, float]]], streams: Mapping[str, str], name: str, policy: int | None
) -> NDArray[np.float64]:
    seeds = {seed for of in runs.values() for seed, _ in of}
    losses = []
    for stream in streams:
        missing = seeds - {seed for seed, _ in runs.get(stream, ())}
        if missing:
            of = "" if policy is None else f" with policy seed {policy}"
            raise ValueError(f"{name!r}{of} has no run on stream {stream!r} with seed {min(missing)}")
        losses.append(float(np.mean([loss for _, loss in runs[stream]])))
    return np.array(losses)
