import re
import shlex
from pathlib import Path

import pytest

from olrl.cli import execute
from tests.agents.search.searches import olrl_search

PAGE = Path(__file__).parents[3] / "docs" / "search.md"


def commands() -> list[list[str]]:
    """The commands in the page's blocks of shell."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def test_the_commands_of_the_page_work_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = []
    for command in commands():
        assert command[0] == "olrl"
        code = olrl_search(*command[2:]) if command[1] == "search" else execute(command[1:])
        assert code == 0
        said.append(capsys.readouterr().out)
    assert len(said) == 4
    assert "Best of 6 trials" in said[0]
    assert "all of its 12 rounds were run" in said[1]
    assert "rounds after the prefix" in said[2]
    assert "Best of 8 trials" in said[3]


def test_every_option_of_the_page_exists(capsys: pytest.CaptureFixture[str]) -> None:
    assert olrl_search("--help") == 0
    told = capsys.readouterr().out
    page = PAGE.read_text(encoding="utf-8")
    for option in ("--reach", "--sampler", "--no-prune", "--prefix", "--resume", "--trials", "--engine"):
        assert option in page
        assert option in told
