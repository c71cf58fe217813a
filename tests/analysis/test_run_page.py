import json
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from olrl.analysis import folder_report, page
from olrl.analysis.folder_report import write_folder_report
from olrl.analysis.overview import read_overview
from olrl.analysis.privacy import WITHHELD_SHORT
from olrl.analysis.run_page import run_page
from olrl.run_folder import RunFolder
from tests.deployed import SECRET
from tests.run_folders import PRIVATE, make_run, row

HOSTILE = "</script><img src=x onerror=alert(1)>&lt;b"


def small(path: Path) -> RunFolder:
    rows = [
        row(0, 2.0),
        row(1, 3.0, drift=["adwin"]),
        row(2, None, guard=f"loss {HOSTILE}"),
        row(3, 2.5, update=False),
    ]
    arrived = [{"round": k, "source": HOSTILE, "segment": 0, "n_bytes": 100} for k in range(4)]
    return make_run(path, rows, arrived)


def reject(folder: RunFolder, **more: str) -> None:
    line = {
        "source": HOSTILE,
        "line": 7,
        "offset": 0,
        "bytes": 12,
        "hash": "00",
        "reason": "invalid JSON",
        **more,
    }
    folder.dead_letter.write_text(json.dumps(line) + "\n")


def without_scripts(text: str) -> str:
    return re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)


def test_a_report_is_markdown_and_a_page_that_loads_nothing(tmp_path: Path) -> None:
    folder = small(tmp_path / "run")
    reject(folder)
    written, missing, _ = write_folder_report(folder.path)
    assert (written, missing) == ([folder.report, folder.page], None)
    text = folder.page.read_text()
    shown = without_scripts(text)
    assert "default-src 'none'" in shown
    assert re.findall(r"""(?:src|href)=["'](?!data:)""", shown) == []
    told = unescape(re.sub(r"<[^>]*>", " ", shown))
    for words in (
        "Over 4 rounds (400 bytes)", "4.5000 bits per byte", "1 of the rounds", "adwin", "invalid JSON",
        "Drift alarms and guard", "olrl run --stream mail.jsonl", "compute saved",
        "base.batch_size", "the guard intervened in 1",
    ):  # fmt: skip
        assert words in told, words


def test_a_private_run_has_its_promise_on_the_page_and_no_mark_for_a_loss_withheld(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [row(k, None) for k in range(20)], config=PRIVATE)
    made = run_page(folder, read_overview(folder))
    section = next(section for section in made.sections if section.id == "differential-privacy")
    figure = next(section.figure for section in made.sections if section.figure is not None)
    assert [trace.name for trace in figure.data] == ["in force"] * 3 + ["budget saved so far"]
    assert [note.text for note in figure.layout.annotations] == [WITHHELD_SHORT]
    write_folder_report(folder.path)
    told = unescape(re.sub(r"<[^>]*>", " ", without_scripts(folder.page.read_text())))
    assert "(ε = 2.5, δ = 1e-05)-differentially private for one training example" in told
    for paragraph in section.text.split("\n\n"):
        assert paragraph in told
        assert paragraph in folder.report.read_text().replace("**", "")


def test_a_run_without_a_promise_makes_none(tmp_path: Path) -> None:
    folder = small(tmp_path / "run")
    write_folder_report(folder.path)
    assert "differential" not in without_scripts(folder.page.read_text()).lower()
    assert "differential" not in folder.report.read_text().lower()


def test_no_name_can_break_out_of_the_page(tmp_path: Path) -> None:
    folder = small(tmp_path / "run")
    reject(folder, text=HOSTILE)
    write_folder_report(folder.path, show_text=True)
    text = folder.page.read_text()
    assert "<img src=x" not in text
    assert text.count("</script>") == text.count("<script")
    assert "&lt;/script&gt;&lt;img" in text


def test_text_is_shown_only_where_it_is_asked_for(tmp_path: Path) -> None:
    folder = small(tmp_path / "run")
    reject(folder, text=SECRET * 400)
    write_folder_report(folder.path)
    assert SECRET not in folder.page.read_text()
    write_folder_report(folder.path, show_text=True)
    shown = folder.page.read_text()
    assert SECRET in shown
    assert f"({len(SECRET) * 400:,} characters)" in shown
    assert SECRET not in folder.report.read_text()


def test_without_plotly_markdown_is_written_and_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small(tmp_path / "run")
    monkeypatch.setattr(folder_report, "can_draw", lambda: False)
    written, missing, _ = write_folder_report(folder.path)
    assert written == [folder.report]
    assert missing == "the HTML report needs plotly, which is not installed: pip install 'olrl[report]'"
    assert not folder.page.exists()


def test_a_page_of_a_long_run_is_small(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rounds = 30_000
    rows = [row(k, float(loss)) for k, loss in enumerate(rng.uniform(2, 4, rounds))]
    for k in range(0, rounds, 5):
        rows[k]["lr"] = float(rng.uniform(1e-4, 1e-2))
        rows[k]["drift"] = ["adwin"]
    folder = make_run(tmp_path / "run", rows)
    write_folder_report(folder.path)
    drawn = len(folder.page.read_bytes()) - _library()
    assert drawn < 1_500_000
    assert "Of 30,000 rounds" in folder.page.read_text()


def _library() -> int:
    from plotly.offline import get_plotlyjs

    return len(get_plotlyjs().encode())


def test_a_folder_that_is_neither_is_refused(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "none")
    folder.write_config({})
    with pytest.raises(ValueError, match=r"neither decisions\.jsonl of a run, nor results\.json"):
        write_folder_report(folder.path)


def test_an_id_of_a_section_is_its_title() -> None:
    assert page.Section(title="By source").id == "by-source"
