"""What a run with differential privacy promises, in words."""

from typing import Any

WITHHELD = "withheld, since it tells of single texts"
WITHHELD_SHORT = "losses are withheld (differential privacy)"
TITLE = "Differential privacy"


def is_private(config: dict[str, Any]) -> bool:
    """Whether a run's configuration is of one with differential privacy."""
    return config.get("privacy") is not None


def privacy_paragraphs(config: dict[str, Any]) -> list[str]:
    """What is promised and what is not, in Markdown, a paragraph each; nothing for a run without a promise."""
    given = config.get("privacy")
    if not isinstance(given, dict):
        return []
    return [
        f"The model and the sequence of decisions are **(ε = {given['epsilon']:.4g}, δ = {given['delta']:g})**"
        f"-differentially private for {given['unit']}. That is not a document nor a person: who wrote k of the "
        f"examples has a weaker promise, about k times ε and more.",
        f"Each example of the window takes part in a step with probability q = {given['sample_rate']:.6g} (Poisson "
        f"sampling), in at most {given['steps']} steps, those of the rounds it spends in the window. Its gradient "
        f"is cut to a norm of {given['clip']:g}, and noise of {given['noise']:.6g} times that is added to the sum. "
        f"Accounted by {given['accountant']}, for streams that differ in one example, which in one of them "
        f"contributes nothing.",
        "**Not private** are the other files of this folder (sizes, sources, rejected rows, and when they came), "
        "checkpoints, which hold the memory and so the text, and what is measured on texts by other means. "
        "Losses tell of single texts and are withheld: from controller and guard, and from every file here.",
    ]
