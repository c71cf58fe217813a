"""What a person finds who opens a report."""

from pathlib import Path
from typing import Any

import pytest

from olrl.analysis.folder_report import write_folder_report
from tests.analysis.test_compare_page import comparison
from tests.analysis.test_run_page import HOSTILE, reject
from tests.browser import open_page
from tests.run_folders import make_run, row

pytestmark = pytest.mark.slow


def watched(page: Any) -> list[str]:
    """Whatever goes wrong on a page from now on, and whatever it asks the network for."""
    wrong: list[str] = []

    def refuse(dialog: Any) -> None:
        wrong.append("a script of the stream ran")
        dialog.dismiss()

    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("dialog", refuse)
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("request", lambda asked: wrong.append(asked.url) if asked.url.startswith("http") else None)
    return wrong


def test_a_person_finds_loss_decisions_drift_guard_and_regret(tmp_path: Path) -> None:
    rows = [row(k, 3.0 - k / 50, lr=1e-3 * 2 ** (k % 3)) for k in range(40)]
    rows[12]["drift"] = ["adwin"]
    rows[20] |= {"loss_bpb": None, "guard": HOSTILE}
    rows[30] |= {"update": False, "spent": 0.0}
    arrived = [
        {"round": k, "source": HOSTILE if k < 25 else "mail.jsonl", "segment": k // 25, "n_bytes": 100}
        for k in range(40)
    ]
    folder = make_run(tmp_path / "run", rows, arrived)
    base = make_run(tmp_path / "base", [row(k, 3.5) for k in range(40)], arrived)
    reject(folder, text=HOSTILE)
    write_folder_report(folder.path, against=base.path, show_text=True)
    with open_page() as page:
        wrong = watched(page)
        page.goto(folder.page.as_uri())
        page.wait_for_selector(".js-plotly-plot .scatterlayer")
        told = page.inner_text("body")
        legend = " ".join(page.locator(".legendtext").all_text_contents())
        shapes = page.locator(".shapelayer path").count()
        names = " ".join(page.locator(".annotation-text").all_text_contents())
        page.click("#the-first-1-of-them summary")
        assert page.inner_text("#the-first-1-of-them td:last-child") == HOSTILE
    assert wrong == []
    for words in (
        "bits per byte",
        "regret against policy (base)",
        "of the budget saved",
        "invalid JSON",
        "adwin",
    ):
        assert words in told, words
    for name in (
        "drift alarm",
        "guard intervened",
        "no training",
        "loss not finite",
        "regret so far",
        "policy (base)",
    ):
        assert name in legend, name
    assert shapes >= 2  # the alarm's line and the shaded segment
    assert "<img src=x" in names  # as text


def test_a_person_finds_the_intervals_of_a_comparison(tmp_path: Path) -> None:
    folder = comparison(tmp_path / "compare")
    write_folder_report(folder.path)
    with open_page() as page:
        wrong = watched(page)
        page.goto(folder.page.as_uri())
        page.wait_for_selector(".js-plotly-plot .errorbars path")
        bars = page.locator(".js-plotly-plot .errorbars path").count()
        told = page.inner_text("body")
    assert wrong == []
    assert bars >= 3
    assert "-3.25 [-4.25, -2.25]" in told
