"""What a person finds who follows a run or a training on the live page, in a browser, while it goes on."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import typer
from rich.console import Console

from olrl.agents.bars import Bars
from olrl.agents.ppo import recipe
from olrl.agents.ppo.command import train_and_tell
from olrl.agents.ppo.progress import Progress
from olrl.agents.ppo.tiny import TINY
from olrl.loop import RoundRecord
from olrl.run import run
from olrl.run_folder import read_json_lines
from tests.browser import Page, open_page
from tests.deployed import SECRET, quick, untrained_policy, write_stream

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@contextmanager
def dashboard(folder: Path) -> Iterator[str]:
    """The address of a live page of this folder."""
    program = "from olrl.cli import main; main()"
    command = [sys.executable, "-c", program, "dashboard", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            yield next(word for word in line.split() if word.startswith("http://127.0.0.1:"))
        finally:
            server.terminate()


def test_the_page_follows_a_run_switches_it_to_shadow_and_stops_it(tmp_path: Path) -> None:
    out = tmp_path / "runs" / "mine"
    policy = str(untrained_policy(tmp_path / "policy"))
    stream = write_stream(tmp_path / "mail.jsonl", count=400)

    with ExitStack() as stack:
        page = stack.enter_context(open_page(height=1900))

        def look(record: RoundRecord) -> None:
            if record.round == 3:
                opened(page, stack.enter_context(dashboard(out.parent)))
            elif record.round == 6:
                switched(page)
            elif record.round == 9:
                stopped(page)

        result = run(quick(stream, controller="policy", policy=policy, out=out), on_round=look)
        page.wait_for_text("Over: a file STOP was put into its folder")
        page.keep("dashboard-over")
        said = page.text()
        assert page.wrong == []
    rows = read_json_lines(result.folder.decisions)
    assert [row["round"] for row in rows if "proposed" in row] == [7, 8, 9]
    assert len(rows) == 10
    assert SECRET not in said


def opened(page: Page, address: str) -> None:
    page.open(address)
    page.wait_for(".js-plotly-plot .scatterlayer")
    page.wait_for_text("Over 4 rounds")
    for words in ("bits per byte", "of the budget saved", "By source", "mail.jsonl"):
        page.wait_for_text(words)
    page.keep("dashboard-running")


def switched(page: Page) -> None:
    page.wait_for_text("Over 7 rounds")  # by itself
    page.press("Switch to shadow")
    page.wait_for_text("your base is in force (learning rate 0.001")
    page.keep("dashboard-asks")
    page.press("Yes: switch to shadow")
    page.wait_for_text("Leave shadow")


def stopped(page: Page) -> None:
    page.wait_for_text("Over 10 rounds")
    page.wait_for_text("proposed, not applied")  # in the legend
    page.keep("dashboard-shadow")
    page.press("Stop")
    page.press("Yes: stop")
    page.wait_for_text("Asked to stop")


class Watched(Bars):
    """A person who watches a training: opens the page in its second stage, and stops it in the last."""

    def __init__(self, page: Page, address: Callable[[], str]) -> None:
        super().__init__(Console(quiet=True))
        self._page, self._address = page, address

    def part(self, name: str, total: int) -> None:
        if name == "stage hindsight":
            self._page.open(self._address())
            self._page.wait_for_text("Training: profile tiny, seed 3")
            self._page.wait_for_text("in 2 stages, the last of them hindsight")
            self._page.wait_for_text("the policy was judged")
            self._page.wait_for(".js-plotly-plot .scatterlayer")
            self._page.keep("dashboard-training")
        elif name == "stage language":
            self._page.wait_for_text("in 3 stages, the last of them language")  # by itself
            self._page.press("Stop")
            self._page.wait_for_text("The training ends at its next look")
            self._page.press("Yes: stop")
            self._page.wait_for_text("Asked to stop")
        super().part(name, total)


def test_the_page_follows_a_training_and_stops_it_so_that_it_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "PROFILES", {"tiny": TINY})
    out = tmp_path / "runs" / "training"

    def trained(bars: Bars, *, resume: bool) -> Progress:
        return train_and_tell("tiny", seed=3, out=out, resume=resume, bars=bars)

    with ExitStack() as stack:
        page = stack.enter_context(open_page(height=2600))
        watched = Watched(page, lambda: stack.enter_context(dashboard(out.parent)))
        with pytest.raises(typer.Exit) as stopped:
            trained(watched, resume=False)
        assert stopped.value.exit_code == 0
        page.wait_for_text("Stopped by a file STOP in its folder")
        trained(Bars(Console(quiet=True)), resume=True)
        page.wait_for_text("256 environment steps")
        page.keep("dashboard-trained")
        assert page.wrong == []
    assert (out / "policy" / "policy.json").is_file()
