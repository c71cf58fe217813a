"""How far a training run is, and what its stages brought."""

from dataclasses import asdict, dataclass, field
from typing import Any

from .validation import Validation


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """What a stage did, and the validation after it; `updates` counts PPO's passes over its rollouts."""

    name: str
    steps: int
    updates: int
    seconds: float
    after: Validation


@dataclass(frozen=True, kw_only=True)
class Best:
    """The leg (from 1) of a stage after which validation was best; its policy is kept."""

    stage: str
    leg: int
    validation: Validation


@dataclass(kw_only=True)
class Progress:
    """How far a run is: `leg` legs of stage number `stage` are done. JSON-able through `to_dict`.

    `latest` and `best` are of the legs that were judged.
    """

    stage: int = 0
    leg: int = 0
    seconds: float = 0.0
    untrained: Validation | None = None
    results: list[StageResult] = field(default_factory=list)
    quantiles: list[list[float]] | None = None
    latest: Validation | None = None
    best: Best | None = None

    def to_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> "Progress":
        """From a checkpoint; ValueError, TypeError or KeyError if it is none of ours."""
        untrained, latest = (
            None if row[name] is None else Validation(**row[name]) for name in ("untrained", "latest")
        )
        best = row["best"]
        if best is not None:
            best = Best(**{**best, "validation": Validation(**best["validation"])})
        results = [StageResult(**{**r, "after": Validation(**r["after"])}) for r in row["results"]]
        return cls(**{**row, "untrained": untrained, "latest": latest, "best": best, "results": results})
