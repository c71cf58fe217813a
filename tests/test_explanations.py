import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from olrl.analysis.explanation_figure import read_reasons, save_reasons, told
from olrl.analysis.folder_report import write_folder_report
from olrl.cli import execute
from olrl.control.constant import Constant
from olrl.control.decision import Base
from olrl.control.explain import Explanation
from olrl.explanations import EVERY_ROUND, STRONGEST, ExplanationLog
from olrl.monitor.feature_spec import FEATURE_NAMES
from olrl.run_folder import RunFolder, read_json_lines
from tests.run_folders import make_run, row

RISE, COS = FEATURE_NAMES.index("rise"), FEATURE_NAMES.index("grad_cos")


class Explaining:
    """Pushes the rate up by `rise` in the first half of twenty rounds, and down by `grad_cos` in the second."""

    def __init__(self) -> None:
        self.asked = 0

    def explain(self) -> Explanation:
        values = np.full((4, len(FEATURE_NAMES)), 1e-3)
        values[0, RISE if self.asked < 10 else COS] = 2.0 if self.asked < 10 else -1.0
        self.asked += 1
        return Explanation(values=values)


def explained(path: Path, rounds: int = 20) -> RunFolder:
    folder = make_run(path, [row(k, 3.0, drift=["adwin"] if k == 10 else []) for k in range(rounds)])
    with closing(ExplanationLog(folder.explanations, Explaining())) as log:
        for k in range(rounds):
            log.round(k)
    return folder


def test_the_strongest_features_are_written_and_drawn_over_time(tmp_path: Path) -> None:
    folder = explained(tmp_path / "run")
    rows = read_json_lines(folder.explanations)
    assert [len(line["lr"]) for line in rows] == [STRONGEST] * 20
    assert next(iter(rows[12]["lr"].items())) == ("grad_cos", -1.0)
    found = read_reasons(folder)
    assert found["lr"].features[:2] == ("rise", "grad_cos")
    assert found["lr"].values[0].round(2).tolist() == [2.0] * 10 + [0.0] * 10
    assert save_reasons(folder, alarms=[10]) is not None
    assert told(found)[0][1].startswith("rise 6")


def test_a_report_shows_why(tmp_path: Path) -> None:
    folder = explained(tmp_path / "run")
    write_folder_report(folder.path)
    assert "(figures/explanations.png)" in folder.report.read_text()
    assert "What moved the decisions" in folder.page.read_text()


def test_a_controller_that_cannot_explain_itself_leaves_no_file(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [row(0, 3.0)])
    with closing(ExplanationLog(folder.explanations, Constant(base=Base(lr=1e-3)))) as log:
        assert log.round(0) is None
    assert not folder.explanations.exists()
    assert read_reasons(folder) == {}
    assert save_reasons(folder) is None


def test_later_rounds_are_explained_more_rarely(tmp_path: Path) -> None:
    controller = Explaining()
    with closing(ExplanationLog(tmp_path / "a.jsonl", controller)) as log:
        for k in range(EVERY_ROUND, 2 * EVERY_ROUND):
            log.round(k)
    assert controller.asked == EVERY_ROUND // 2


def test_a_resumed_run_goes_on_where_a_kill_cut_the_file(tmp_path: Path) -> None:
    folder = explained(tmp_path / "run", rounds=12)
    whole = folder.explanations.read_bytes()
    folder.explanations.write_bytes(whole[:-7])
    with closing(ExplanationLog(folder.explanations, again := Explaining())) as log:
        again.asked = 8  # the checkpoint's round
        for k in range(8, 12):
            log.round(k)
    assert folder.explanations.read_bytes() == whole


@pytest.mark.parametrize(
    ("name", "value"),
    [("window", None), ("lr", 3), ("update", {"rise": "much"}), ("round", -1), ("round", True)],
)
def test_a_damaged_line_is_told_in_a_sentence(
    tmp_path: Path, name: str, value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = explained(tmp_path / "run", rounds=3)
    first, *rest = folder.explanations.read_text().splitlines()
    changed = json.loads(first) | {name: value}
    if value is None:
        del changed[name]
    folder.explanations.write_text("\n".join([json.dumps(changed), *rest]) + "\n")
    assert execute(["report", str(folder.path)]) == 2
    told = capsys.readouterr().err
    assert f"its {name} is" in told
    assert told.count("\n") == 1
