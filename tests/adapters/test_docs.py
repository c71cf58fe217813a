"""The examples of docs/adapters.md do what they say, one after another, each with a fresh model."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.readback import LIGHTNING_WARNINGS, TRL_WARNINGS

pytestmark = [
    *TRL_WARNINGS,
    *LIGHTNING_WARNINGS,
    pytest.mark.filterwarnings(
        "ignore:Found .* in eval mode"
    ),  # as it was loaded, so that nothing is dropped out
]

PAGE = Path(__file__).parents[2] / "docs" / "adapters.md"


def examples() -> dict[str, str]:
    """Python blocks by the heading they stand under."""
    text = PAGE.read_text(encoding="utf-8")
    sections = re.split(r"^##+ (.+)$", text, flags=re.MULTILINE)[1:]
    found = {}
    for heading, body in zip(sections[::2], sections[1::2], strict=True):
        for block in re.findall(r"^```python\n(.*?)^```", body, flags=re.MULTILINE | re.DOTALL):
            found[heading] = block
    return found


EXAMPLES = examples()
PARTS = EXAMPLES.pop("The parts of the examples")


def test_every_adapter_has_an_example() -> None:
    assert list(EXAMPLES) == ["Plain PyTorch", "Only the signals", "Hugging Face Trainer", "TRL", "Lightning"]


@pytest.mark.parametrize("heading", EXAMPLES)
def test_an_example_runs_and_moves_the_model(
    heading: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(PARTS, "parts", "exec"), names)
    before = [p.detach().clone() for p in names["model"].parameters()]
    exec(compile(EXAMPLES[heading], heading, "exec"), names)
    moved = [
        float((a - b.detach()).abs().max()) for a, b in zip(before, names["model"].parameters(), strict=True)
    ]
    assert max(moved) > 0
