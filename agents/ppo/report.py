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
            f"Scores are losses above that of the tuned constant configuration on {recipe.validation.streams}",
            f"validation streams of {recipe.validation.rounds} rounds, model {recipe.validation.model}, mean over",
            "base learning rates right and wrong; below 0 is better than the tuned constant.",
            "",
            *_validations(progress),
            "",
            "The rate stays within 1/64 to 64 times the user's base. In training it has seen",
            f"{_seen(recipe)}: nothing larger, and no other tokenizer.",
            "",
        ]
    )


def _seen(recipe: Recipe) -> str:
    quadratics = ["noisy quadratics"] if any(stage.kind == "surrogate" for stage in recipe.stages) else []
    models = [f"the byte-level model {model}" for model in recipe.models]
    labels = ["heads that learn labels on their features"] if recipe.learns_labels else []
    return ", ".join([*quadratics, *models, *labels])


def _validations(progress: Progress) -> list[str]:
    before = [] if progress.untrained is None else [f"- untrained: {progress.untrained.line()}"]
    lines = [*before, *(f"- after {result.name}: {result.after.line()}" for result in progress.results)]
    best = progress.best
    if best is not None:
        lines.append(f"- kept, leg {best.leg} of {best.stage}: {best.validation.line()}")
        lines += ["", "The policy kept is the one that did best on these streams, which flatters its score."]
    return lines


def stage_table(progress: Progress) -> list[str]:
    """Markdown rows: validation before and after each stage, with steps and PPO's passes over them."""
    rows = ["| stage | environment steps | passes over the data | minutes | score before | score after |"]
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
    lines = [
        f"# Training run: profile {recipe.name}, seed {seed}",
        "",
        *stage_table(progress),
        "",
        "Score: loss above that of the tuned constant, per cent, on validation streams; lower is better.",
        "",
        *_validations(progress),
        "",
        "The frozen policy is in `policy/`; `olrl run --policy` takes its path, `olrl inspect` shows it.",
        "Curves: `tensorboard --logdir .`",
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
