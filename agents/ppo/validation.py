"""The score a stage is judged by: the policy on validation streams of a real language model."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from olrl.control.policy import FrozenPolicy

from ..evaluation.compare import CompareConfig, Outcome, compare
from ..workers.base import Workers
from .recipe import ValidationConfig


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Mean prequential loss, bits a byte, of the policy for each base multiplier, and of the tuned constant."""

    model: str
    fixed_bpb: float
    policy_bpb: dict[str, float]

    @property
    def score(self) -> float:
        """Loss above that of the tuned constant, per cent of it, mean over the bases; lower is better."""
        mean = sum(self.policy_bpb.values()) / len(self.policy_bpb)
        return 100.0 * (mean / self.fixed_bpb - 1.0)

    def line(self) -> str:
        """One line for people."""
        bases = "  ".join(f"x{mult} {bpb:.3f}" for mult, bpb in self.policy_bpb.items())
        return (
            f"{self.score:+.2f} % against the tuned constant "
            f"({self.model}, bits a byte at base rate {bases}; constant {self.fixed_bpb:.3f})"
        )


def validate(
    policy: FrozenPolicy,
    config: ValidationConfig,
    *,
    scratch: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
    workers: Workers | None = None,
    show: Callable[[Outcome], None] = lambda outcome: None,
) -> Validation:
    """Run the policy, deterministic, on the validation split; `scratch` takes the frozen policy and the cache.

    The `workers` are this machine's cores unless others are given; `show` is given all that the runs did.
    """
    policy.save(scratch / "policy")
    outcome = compare(
        CompareConfig(
            controllers=("fixed", "policy"),
            split="validation",
            streams=config.streams,
            rounds=config.rounds,
            model=config.model,
            policies=(str(scratch / "policy"),),
            base_lr_mult=config.base_lr_mult,
        ),
        cache=scratch / "cache",
        progress=progress,
        workers=workers,
    )
    show(outcome)
    losses: dict[str, list[float]] = {}
    for row in outcome.rows():
        key = "fixed" if row["controller"] == "fixed" else f"{row['base_lr_mult']:g}"
        losses.setdefault(key, []).append(row["loss_bpb"])
    means = {key: sum(values) / len(values) for key, values in losses.items()}
    return Validation(model=config.model, fixed_bpb=means.pop("fixed"), policy_bpb=means)
