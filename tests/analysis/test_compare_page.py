import json
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from olrl.analysis.compare_page import compare_page, cost_figure, differences_figure, read_results
from olrl.analysis.folder_report import write_folder_report
from olrl.analysis.page import Page
from olrl.run_folder import RunFolder


def interval(value: float, *, spread: float | None = 1.0) -> dict[str, Any]:
    low, high = (None, None) if spread is None else (value - spread, value + spread)
    return {"value": value, "low": low, "high": high, "over": "streams"}


def entry(name: str, loss: float, *, value: float | None = None, mult: float | None = 1.0) -> dict[str, Any]:
    against = None
    kinds: dict[str, Any] = {"abrupt": {"loss_bpb": loss, "streams": 2, "iqm_percent": None, "score": None}}
    if value is not None:
        against = {
            "controller": "fixed", "difference_bpb": interval(value), "iqm_percent": interval(value),
            "improvement": interval(0.75, spread=0.2), "worst_percent": 3.0,
        }  # fmt: skip
        kinds = {kind: {"iqm_percent": interval(value, spread=None)} for kind in ("abrupt", "none")}
    return {
        "controller": name, "base_lr_mult": mult, "loss_bpb": loss, "spent": 100.0 * loss, "updates": 10.0,
        "diverged": 0, "runs": 2, "policies": 1, "streams": 2, "against": against, "kinds": kinds,
    }  # fmt: skip


def run(name: str, loss: float) -> dict[str, Any]:
    return {
        "suite": "drift",
        "stream": "drift-0",
        "controller": name,
        "loss_bpb": loss,
        "diverged": False,
        "metric": None,
    }


def comparison(path: Path) -> RunFolder:
    folder = RunFolder.create(path)
    folder.write_config({"command": "compare", "rounds": 9})
    summary = [
        entry("fixed", 3.0, value=0.0, mult=None),
        entry("policy", 2.9, value=-3.25),
        entry("base<i>", 3.1, value=0.5, mult=8.0),
        entry("never", 4.0),
    ]
    results = {
        "runs": [run("policy", 2.9), run("fixed", 3.0)],
        "summary": summary,
        "versions": {"olrl": "9.9"},
    }
    folder.results.write_text(json.dumps({**results, "corpus_sha256": None}))
    return folder


def test_a_comparison_has_a_page_with_its_intervals(tmp_path: Path) -> None:
    folder = comparison(tmp_path / "compare")
    assert write_folder_report(folder.path) == ([folder.page], None, "")
    text = unescape(folder.page.read_text())
    assert "the lowest mean loss was that of policy, 2.9000 bits per byte" in text
    assert "Better than fixed beyond their 95 % intervals: policy (-3.25 [-4.25, -2.25] %)." in text
    assert "base<i>" not in folder.page.read_text()
    assert "base<i> ×8" in text


def test_what_the_command_cannot_say_stands_beside_it(tmp_path: Path) -> None:
    folder = comparison(tmp_path / "compare")
    (section,) = (each for each in made(folder).sections if each.code)
    assert (section.text, section.code) == ("", "olrl compare --rounds 9")
    folder.write_config({"command": "compare", "rounds": 9, "chunk": 8, "seed": 0})
    (section,) = (each for each in made(folder).sections if each.code)
    assert section.text == "Set from Python, with no option for it: chunk 8."


def made(folder: RunFolder) -> Page:
    return compare_page(folder, read_results(folder.results))


def test_intervals_are_drawn_where_there_are_some(tmp_path: Path) -> None:
    summary = read_results(comparison(tmp_path / "compare").results)["summary"]
    compared = [one for one in summary if one["against"]]
    everywhere, abrupt, none = differences_figure(compared).data
    assert (everywhere.x[1], everywhere.error_x.array[1], everywhere.error_x.arrayminus[1]) == (
        -3.25,
        1.0,
        1.0,
    )
    assert list(abrupt.error_x.array) == [0.0, 0.0, 0.0]
    assert none.name == "none"


def test_what_is_shown_of_many_entrants_stands_beside_their_names(tmp_path: Path) -> None:
    summary = read_results(comparison(tmp_path / "compare").results)["summary"]
    few = [one for one in summary if one["against"]]
    everywhere, *kinds = differences_figure(few * 3).data
    assert list(everywhere.y) == list(range(9))
    assert {one.visible for one in kinds} == {"legendonly"}
    everywhere, *kinds = differences_figure(few).data
    assert {one.visible for one in kinds} == {True}  # and then the three lie around the name
    assert everywhere.y[0] < 0 < kinds[-1].y[0]


def test_names_of_dear_entrants_point_away_from_the_edge(tmp_path: Path) -> None:
    summary = read_results(comparison(tmp_path / "compare").results)["summary"]
    dear = summary.index(max(summary, key=lambda one: one["spent"]))
    cheap = summary.index(min(summary, key=lambda one: one["spent"]))
    sides = cost_figure(summary).data[1].textposition
    assert (sides[dear], sides[cheap]) == ("middle left", "top right")


def test_the_front_holds_what_nothing_beats_in_both(tmp_path: Path) -> None:
    summary = read_results(comparison(tmp_path / "compare").results)["summary"]
    assert cost_figure(summary).data[0].y == (2.9,)


def test_damaged_results_are_refused_in_one_sentence(tmp_path: Path) -> None:
    folder = comparison(tmp_path / "compare")
    folder.results.write_text('{"runs": [], "summary": [{"controller": "x"}]}')
    with pytest.raises(ValueError, match=r"is no results\.json of olrl compare"):
        write_folder_report(folder.path)


def test_options_of_a_run_are_refused_for_a_comparison(tmp_path: Path) -> None:
    folder = comparison(tmp_path / "compare")
    with pytest.raises(ValueError, match="is a comparison"):
        write_folder_report(folder.path, show_text=True)
