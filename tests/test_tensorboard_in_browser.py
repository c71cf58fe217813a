"""What a person finds who opens TensorBoard on a run."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from olrl.analysis.records import read_run
from olrl.event_plugins import LAYOUT
from tests.browser import open_page
from tests.real_runs import LONG, long_run, real_runs

FILLED = {"loss", "signals", "policy"}  # what charts need that a run of the policy on text fills
DETECTOR = "adwin"  # the one with the fewest alarms: a spike that is lost is missed
CHART = (
    "[...document.querySelectorAll('scalar-card')]"
    f".find(c => c.innerText.replace(/\\s/g, '').includes('drift/alarm/{DETECTOR}'))?.querySelector('canvas')"
)

pytestmark = pytest.mark.slow


@contextmanager
def tensorboard(folder: Path) -> Iterator[str]:
    """The address of a TensorBoard of this folder, on this machine only."""
    command = [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        str(folder),
        "--host",
        "127.0.0.1",
        "--port",
        "0",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stderr is not None
            for line in server.stderr:
                if found := re.search(r"at (http://\S+/)", line):
                    yield found[1]
                    return
            raise AssertionError("TensorBoard ended before it said where it is")
        finally:
            server.terminate()


def matches(told: str) -> list[int]:
    """How many curves each chart of the tab Custom Scalars says that it has."""
    return [int(number) for number in re.findall(r"Matches \((\d+)\)", told)]


def strokes(chart: NDArray[np.uint8]) -> int:
    """How many lines a person sees standing upright in the middle of a chart's height."""
    dark = (chart[len(chart) // 2].astype(int).max(axis=1) < 160).astype(int)
    return int((np.diff(dark, prepend=0) == 1).sum())


@pytest.fixture(scope="module")
def viewer() -> Iterator[str]:
    """The address of a TensorBoard of the real runs."""
    with tensorboard(real_runs()) as address:
        yield address


def test_a_person_finds_four_questions_and_every_chart_is_filled(viewer: str) -> None:
    with open_page(height=3600) as page:
        page.open(f"{viewer}#custom_scalars")
        for question in LAYOUT:
            page.wait_for_text(question[:20])
        shown = [chart for charts in LAYOUT.values() for chart in charts if FILLED.issuperset(chart.needs)]
        page.wait_until(lambda: len(filled := matches(page.text())) == len(shown) and min(filled) > 0)
        told = page.text()
        page.settle()
        page.keep("tensorboard-custom-scalars")
    assert [chart.title for chart in shown if chart.title not in told] == []
    assert "share of answers that were right" not in told  # a run without labels


def test_a_person_compares_runs_by_what_they_differ_in_and_what_came_of_them(viewer: str) -> None:
    with open_page(width=1700, height=1000) as page:
        page.open(f"{viewer}#hparams")
        page.wait_for_text("loss, bits per byte")
        page.wait_for_text("builtin:drift")
        page.settle()
        heads = page.text()
        page.keep("tensorboard-hparams")
    for column in ("controller", "model", "stream", "base.lr", "rounds with a drift alarm"):
        assert column in heads, column


def test_a_person_finds_figures_decisions_and_words(viewer: str) -> None:
    with open_page() as page:
        for tab, words in (
            ("images", "loss_and_decisions"),
            ("histograms", "lr_notches"),
            ("text", "summary"),
        ):
            page.open(f"{viewer}#{tab}")
            page.wait_for_text(words)
            page.settle()
            page.keep(f"tensorboard-{tab}")
        assert "guard/reason" in "".join(page.text().split())


def test_an_alarm_is_still_there_after_20_000_rounds(tmp_path: Path) -> None:
    folder = long_run(tmp_path / "long")
    told = read_run(folder)
    raised = [k for k, names in sorted(told.drift.items()) if DETECTOR in names]
    assert raised[-1] > 15_000, "no late alarm: nothing to look for"
    with open_page() as page, tensorboard(tmp_path) as address:
        page.open(f"{address}?tagFilter=drift#timeseries")
        page.wait_for_text("19,999")  # the last point of each curve, under its chart
        assert f"drift/alarm/{DETECTOR}" in "".join(page.text().split())
        page.settle()
        page.keep("tensorboard-alarms")
        seen = strokes(page.picture_of(CHART))
        drawn = "fetch('data/plugin/scalars/scalars?run=long&tag={}').then(r => r.json())"
        alarms = page.wait(drawn.format(f"drift/alarm/{DETECTOR}"))
        total = page.wait(drawn.format("drift/total"))
    assert [step for _, step, value in alarms if value == 1.0] == raised
    assert {step + 1 for step in raised} <= {step for _, step, value in alarms}
    apart = [a for a, b in pairwise([*raised, 2 * LONG]) if b - a > LONG / 50]
    assert seen >= 0.8 * len(apart) > 2
    assert total[-1][1:] == [19_999, sum(len(names) for names in told.drift.values())]
