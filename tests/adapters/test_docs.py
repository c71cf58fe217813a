"""The examples of docs/adapters.md do what they say, one after another, each with a fresh model."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

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
ALONE = "Several processes"  # of which this test is one: test_two_processes.py has two


def test_every_adapter_has_an_example() -> None:
    assert list(EXAMPLES) == [
        "Plain PyTorch",
        "Only the signals",
        "Hugging Face Trainer",
        "TRL",
        "Lightning",
        ALONE,
    ]


@pytest.fixture
def as_launched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a launcher tells the one process that it starts; a process group that was made of it is taken down."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    launched = {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 1, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    for name, value in launched.items():
        monkeypatch.setenv(name, str(value))
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("heading", EXAMPLES)
def test_an_example_runs_and_moves_the_model(
    heading: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if heading == ALONE:
        request.getfixturevalue("as_launched")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(PARTS, "parts", "exec"), names)
    before = [p.detach().clone() for p in names["model"].parameters()]
    exec(compile(EXAMPLES[heading], heading, "exec"), names)
    moved = [
        float((a - b.detach()).abs().max()) for a, b in zip(before, names["model"].parameters(), strict=True)
    ]
    assert max(moved) > 0
