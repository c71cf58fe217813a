"""What a person finds who follows a run on the live page, in a browser, while the run goes on."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

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
