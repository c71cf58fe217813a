"""What a person finds who opens TensorBoard on a run."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from olrl.analysis.style import panels, save
from olrl.control.explain import Explanation
from olrl.event_plugins import LAYOUT
from olrl.monitor.feature_spec import FEATURE_NAMES
from olrl.tracking import TensorBoardTracker
from tests.browser import open_page
from tests.test_tracking import record

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


def two_runs(folder: Path) -> None:
    figure, _ = panels((1.0,))
    png = save(figure, folder / "a.png").read_bytes()
    explanation = Explanation(values=np.ones((4, len(FEATURE_NAMES))))
    for controller, loss in (("policy", 2.0), ("base", 3.0)):
        with TensorBoardTracker(folder / controller) as tracker:
            tracker.config({"run": {"controller": controller}, "base": {"lr": 1e-3}})
            for k in range(60):
                alarms = ("adwin",) if k == 30 else ()
                tracker.round(record(k, loss_bpb=loss, alarms=alarms), explanation=explanation)
            results = {"result/loss_bpb": loss}
            figures = {"loss_and_decisions": png}
            tracker.finish(step=59, summary=f"it was **{controller}**", figures=figures, results=results)


def test_a_person_finds_four_questions_and_runs_to_compare(tmp_path: Path) -> None:
    two_runs(tmp_path)
    with open_page() as page, tensorboard(tmp_path) as address:
        page.open(f"{address}#custom_scalars")
        for question in LAYOUT:
            page.wait_for_text(question[:20])
        page.keep("tensorboard-custom-scalars")
        page.open(f"{address}#hparams")
        page.wait_for_text("loss, bits per byte")
        page.wait_for_text("controller")
        page.keep("tensorboard-hparams")


def test_an_alarm_is_still_there_after_20_000_rounds(tmp_path: Path) -> None:
    with TensorBoardTracker(tmp_path / "long", signals_every=10) as tracker:
        tracker.config({"run": {"controller": "policy"}, "base": {"lr": 1e-3}})
        for k in range(20_000):
            tracker.round(record(k, alarms=("adwin",) if k in (7_000, 19_990) else ()))
    with open_page() as page, tensorboard(tmp_path) as address:
        page.open(f"{address}?tagFilter=drift#timeseries")
        page.wait_for_text("19,990")  # its last point, under the chart
        assert "drift/alarm/adwin" in "".join(page.text().split())
        page.keep("tensorboard-alarms")
        drawn = "fetch('data/plugin/scalars/scalars?run=long&tag={}').then(r => r.json())"
        alarms = page.wait(drawn.format("drift/alarm/adwin"))
        total = page.wait(drawn.format("drift/total"))
    assert [(step, value) for _, step, value in alarms] == [(7_000, 1.0), (19_990, 1.0)]
    assert total[-1][1:] == [19_999, 2.0]
    assert 2.0 not in [value for _, step, value in total if step < 19_990]
