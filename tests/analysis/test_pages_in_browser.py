"""What a person finds who opens a report."""

import shutil
from pathlib import Path

import pytest

from olrl.analysis.compare_page import label, read_results
from olrl.analysis.folder_report import write_folder_report
from olrl.analysis.records import read_run
from olrl.analysis.summary import summarise
from olrl.run_folder import RunFolder
from tests.analysis.test_run_page import HOSTILE, reject
from tests.browser import open_page
from tests.real_runs import real_comparison, real_runs
from tests.run_folders import make_run, row

pytestmark = pytest.mark.slow
# Names beside points that reach beyond their figure, where they are cut.
CUT = """[...document.querySelectorAll('.textpoint text')].filter(name => {
  const all = name.closest('.js-plotly-plot').getBoundingClientRect(), own = name.getBoundingClientRect();
  return own.left < all.left || own.right > all.right;
}).map(name => name.textContent)"""


def test_a_person_finds_what_came_of_a_real_run(tmp_path: Path) -> None:
    folder = RunFolder.open(shutil.copytree(real_runs() / "policy", tmp_path / "policy"))
    told = read_run(folder)
    write_folder_report(folder.path, against=real_runs() / "base")
    with open_page() as page:
        page.open(folder.page.as_uri())
        page.wait_for(".js-plotly-plot .scatterlayer")
        said, legend = page.text(), " ".join(page.texts(".legendtext"))
        names = " ".join(page.texts(".annotation-text"))
        page.settle()
        page.keep("report", height=2600)
        assert page.wrong == []
    for words in (
        "Against base, on the same chunks",
        f"{summarise(told).loss_bpb:.4f}",
        "regret against base",
    ):
        assert words in said, words
    for name in ("drift alarm", "guard intervened", "regret so far", "base, smoothed"):
        assert name in legend, name
    for source in set(told.source):
        assert source in names, source  # the stretches of text, named above the figure


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
        page.open(folder.page.as_uri())
        page.wait_for(".js-plotly-plot .scatterlayer")
        told = page.text()
        legend = " ".join(page.texts(".legendtext"))
        shapes = page.count(".shapelayer path")
        names = " ".join(page.texts(".annotation-text"))
        page.keep("report-of-hostile-names", height=2600)
        page.click("#the-first-1-of-them summary")
        assert page.texts("#the-first-1-of-them td:last-child") == [HOSTILE]
        assert page.count("[data-title*=Share]") == 0
        assert page.wrong == []
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


def test_a_person_finds_the_intervals_of_a_real_comparison(tmp_path: Path) -> None:
    folder = RunFolder.open(shutil.copytree(real_comparison(), tmp_path / "compare"))
    summary = read_results(folder.results)["summary"]
    compared = [
        one for one in summary if one["against"] and one["against"]["controller"] != one["controller"]
    ]
    best = min(summary, key=lambda one: float(one["loss_bpb"]))
    write_folder_report(folder.path)
    with open_page() as page:
        page.open(folder.page.as_uri())
        page.wait_for(".js-plotly-plot .errorbars path")
        bars = page.count(".js-plotly-plot .errorbars path")
        told, names = page.text(), page.texts(".ytick text")
        cut = page.ask(CUT)
        pictures = page.ask("[...document.images].map(one => one.naturalWidth)")
        page.settle()
        page.keep("report-of-a-comparison", height=3000)
        assert page.count("[data-title*=Share]") == 0
        assert page.wrong == []
    assert f"the lowest mean loss was that of {label(best)}, {best['loss_bpb']:.4f} bits per byte" in told
    assert cut == []
    assert len(compared) > 5
    assert bars >= len(compared)
    for one in compared:
        found = one["against"]["iqm_percent"]
        assert found["low"] < found["high"], label(one)
        assert f"{found['value']:+.2f} [{found['low']:+.2f}, {found['high']:+.2f}]" in told, label(one)
        assert label(one) in names
    assert pictures, "no examples of losses and decisions"
    assert min(pictures) > 0
