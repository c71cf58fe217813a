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
        """From a checkpoint; ValueError if it is none of ours."""
        try:
            progress = cls(
                **{
                    **row,
                    "untrained": _validation(row["untrained"]),
                    "latest": _validation(row["latest"]),
                    "best": None if row["best"] is None else _best(row["best"]),
                    "results": [
                        StageResult(**{**r, "after": _validation(r["after"])}) for r in row["results"]
                    ],
                }
            )
            progress._check()
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise ValueError(
                f"the checkpoint's progress is damaged ({str(error)[:300]}): train anew"
            ) from error
        return progress

    def _check(self) -> None:
        for result in self.results:
            _check_fields(result, name=str, steps=int, updates=int, seconds=float, after=Validation)
        if self.best is not None:
            _check_fields(self.best, stage=str, leg=int, validation=Validation)
        _check_fields(self, stage=int, leg=int, seconds=float, results=list)
        quantiles = self.quantiles
        if quantiles is not None and not (
            isinstance(quantiles, list)
            and all(isinstance(levels, list) and all(map(_is_finite, levels)) for levels in quantiles)
        ):
            raise ValueError("quantiles must be lists of numbers")


def _validation(row: Any) -> Validation | None:
    if row is None:
        return None
    validation = Validation(**row)
    _check_fields(validation, model=str, fixed_bpb=float, policy_bpb=dict)
    bpb = validation.policy_bpb
    if not bpb or not all(map(_is_finite, bpb.values())) or not validation.fixed_bpb > 0:
        raise ValueError("a validation needs positive losses")
    return validation


def _best(row: dict[str, Any]) -> Best:
    return Best(**{**row, "validation": _validation(row["validation"])})


def _check_fields(record: Any, **kinds: type) -> None:
    """Counts are at least 0 and numbers finite; ValueError names the field that is of another kind."""
    for name, kind in kinds.items():
        value = getattr(record, name)
        if kind is float:
            fits = _is_finite(value) and value >= 0
        elif kind is int:
            fits = type(value) is int and 0 <= value < 1 << 53
        else:
            fits = isinstance(value, kind)
        if not fits:
            raise ValueError(f"{name} must be of kind {kind.__name__}, not {type(value).__name__}")


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e300
