import re
import shlex
from pathlib import Path

import pytest

from olrl.analysis.figures import figure_run
from olrl.analysis.overview import read_overview
from olrl.analysis.records import read_run
from olrl.analysis.report import command, report, write_report
from olrl.run_config import RunConfig
from tests.run_folders import CONFIG, make_run, row


def test_a_report_is_made_anew_from_the_other_files(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [row(0, 2.0), row(1, 3.0, drift=["adwin", "kswin"])])
    text = write_report(folder).read_text()
    assert folder.figure.is_file()
    assert "(figures/loss_and_decisions.png)" in text
    assert "**3.0000 bits per byte**" in text
    assert "| 1 | drift alarm | adwin, kswin |" in text
    folder.report.unlink()
    folder.figure.unlink()
    assert write_report(folder).read_text() == text


def test_a_cell_cannot_break_out_of_its_table(tmp_path: Path) -> None:
    arrived = [{"round": 0, "source": "a|b\n## c", "segment": 0, "n_bytes": 9}]
    text = report(read_overview(make_run(tmp_path / "run", [row(0, 2.0)], arrived)))
    assert "| a\\|b ## c | 1 |" in text


HOSTILE = "<img src=x onerror=alert(1)> ![see](http://example.org/a.png) a & b"


def test_no_name_becomes_markup(tmp_path: Path) -> None:
    rows = [row(0, 2.0, drift=[HOSTILE]), row(1, 2.0, guard=f"loss {HOSTILE}")]
    arrived = [{"round": k, "source": HOSTILE, "segment": 0, "n_bytes": 9} for k in range(2)]
    asked = {**CONFIG["run"], "stream": f"{HOSTILE}.jsonl", "model": HOSTILE}
    folder = make_run(tmp_path / "run", rows, arrived, config={**CONFIG, "run": asked, "classes": [HOSTILE]})
    told, _, command = report(read_overview(folder)).rpartition("## To run it again")
    assert "<img" not in told
    assert "&lt;img src=x onerror=alert(1)&gt;" in told
    assert re.findall(r"!\[[^]]*\]\(", told) == ["![Loss and decisions of each round]("]
    assert "a &amp; b | 2 |" in told
    assert command.startswith("\n\n```sh\n")  # in a block nothing is markup


def test_a_command_cannot_end_its_block(tmp_path: Path) -> None:
    asked = {**CONFIG["run"], "stream": "a\n```\n<b>.jsonl"}
    folder = make_run(tmp_path / "run", [row(0, 2.0)], config={**CONFIG, "run": asked})
    block = report(read_overview(folder)).rpartition("## To run it again")[2].strip()
    assert block.startswith("````sh\n")
    assert block.endswith("\n````")


def test_many_events_are_cut_short_and_it_is_said(tmp_path: Path) -> None:
    rows = [row(k, 2.0, drift=["adwin"]) for k in range(60)]
    assert "… and 10 more, in `decisions.jsonl`" in report(read_overview(make_run(tmp_path / "run", rows)))


@pytest.mark.parametrize("budget", [0, -1.0, "64", None, True, 1e300])
def test_a_budget_that_is_none_is_told_in_a_sentence(tmp_path: Path, budget: object) -> None:
    folder = make_run(tmp_path / "run", [row(0, 2.0)])
    config = folder.read_config()
    folder.write_config({**config, "run": {**config["run"], "budget": budget}})
    with pytest.raises(ValueError, match="its budget is"):
        read_overview(folder)


@pytest.mark.parametrize("name", ["stream", "model", "controller"])
def test_a_name_without_end_is_not_drawn_whole(tmp_path: Path, name: str) -> None:
    folder = make_run(tmp_path / "run", [row(0, 2.0), row(1, 3.0)])
    config = folder.read_config()
    folder.write_config({**config, "run": {**config["run"], name: "x" * 1000}})
    (text,) = figure_run(read_run(folder)).get_suptitle().split("\n")
    assert len(text) < 200


@pytest.mark.filterwarnings("error")
def test_letters_that_the_font_lacks_are_no_reason_to_warn(tmp_path: Path) -> None:
    arrived = [{"round": k, "source": "日本語\0", "segment": 0, "n_bytes": 9} for k in range(2)]
    write_report(make_run(tmp_path / "run", [row(0, 2.0), row(1, 3.0)], arrived))


def test_the_command_of_a_report_asks_for_the_same_run() -> None:
    asked = RunConfig(stream="my mail.jsonl", rounds=9, controller="hypergradient", base_lr=1e-3, shadow=True)
    words = shlex.split(command({"run": asked.to_json()}))
    assert words[:4] == ["olrl", "run", "--stream", "my mail.jsonl"]
    assert words[words.index("--base-lr") + 1] == "0.001"
    assert "--shadow" in words
    assert not {"--out", "--follow", "--policy"} & set(words)
