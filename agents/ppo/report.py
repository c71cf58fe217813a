"""What a training run says of itself: its report, and the card of its policy."""

from pathlib import Path

from .progress import Progress
from .recipe import Recipe


def policy_card(recipe: Recipe, progress: Progress, *, seed: int) -> str:
    """CARD.md of the policy: what it is, how it was made, how it scored in validation."""
    return "\n".join(
        [
            "# Policy card",
            "",
            "Chooses learning rate, batch size, sampling window and whether to update, once a round, for a",
            "language model that learns online. A tanh network over scale-free features; data, no code.",
            "",
            f"Made by `olrl train --profile {recipe.name} --seed {seed}` with action coding `{recipe.coding}`.",
            "",
            *stage_table(progress),
            "",
            "Scores are losses above that of the tuned constant configuration on validation streams, mean over",
            "base learning rates right and wrong; negative is better than the tuned constant.",
            "",
            "Steps by these decisions are bounded to the user's base rate times 1/64 to 64. It has seen byte-level",
            "models of 20 to 120 thousand parameters and noisy quadratics in training, nothing larger.",
            "",
        ]
    )


def stage_table(progress: Progress) -> list[str]:
    """Markdown rows: validation before and after each stage, with steps and updates made."""
    rows = ["| stage | environment steps | gradient steps | minutes | score before | score after |"]
    rows.append("|---|---|---|---|---|---|")
    before = progress.untrained
    for result in progress.results:
        score = "" if before is None else f"{before.score:+.2f} %"
        rows.append(
            f"| {result.name} | {result.steps:,} | {result.updates:,} | {result.seconds / 60:.1f} "
            f"| {score} | {result.after.score:+.2f} % |"
        )
        before = result.after
    return rows


def write_report(path: Path, recipe: Recipe, progress: Progress, *, seed: int) -> None:
    """report.md of a training run."""
    assert progress.untrained is not None
    lines = [
        f"# Training run: profile {recipe.name}, seed {seed}",
        "",
        *stage_table(progress),
        "",
        "Score: loss above that of the tuned constant, per cent, on validation streams; lower is better.",
        "",
        f"- untrained: {progress.untrained.line()}",
        *(f"- after {result.name}: {result.after.line()}" for result in progress.results),
        "",
        "The frozen policy is in `policy/`; `olrl run --policy` takes its path, `olrl inspect` shows it.",
        "Curves: `tensorboard --logdir .`",
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
