"""The live page as its script makes it, without a browser."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from olrl.analysis import following
from olrl.dashboard import followed, page
from olrl.folder_lock import FolderLock
from olrl.run_folder import RunFolder
from tests.run_folders import CONFIG, PRIVATE, make_run, row
from tests.train_folders import make_training

HOSTILE = "<img src=x onerror=alert(1)> **bold** $x$"
PATIENCE_S = 120.0


@pytest.fixture
def run_folder(tmp_path: Path) -> Iterator[RunFolder]:
    """A run that goes on, of hostile names."""
    rows = [
        row(k, 3.0, drift=["adwin"] if k == 7 else [], guard=HOSTILE if k == 9 else None) for k in range(20)
    ]
    arrived = [{"round": k, "source": HOSTILE, "segment": k // 10, "n_bytes": 100} for k in range(20)]
    folder = make_run(tmp_path / "runs" / "one", rows, arrived)
    with FolderLock(folder.path):
        yield folder
    followed._runs.clear()


@pytest.fixture
def shown(run_folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    return show(run_folder.path.parent, monkeypatch)


def show(path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr("sys.argv", ["page.py", str(path)])
    app = AppTest.from_file(str(page.__file__), default_timeout=PATIENCE_S).run()
    assert not app.exception
    return app


def html(app: AppTest) -> str:
    return "\n".join(str(each.proto.body) for each in app.get("html"))


def press(app: AppTest, label: str) -> AppTest:
    (button,) = (each for each in app.button if each.label == label)
    return button.click().run()


def test_a_person_finds_what_the_report_says_and_how_the_run_stands(shown: AppTest) -> None:
    told = html(shown)
    for words in (
        "running",
        "bits per byte",
        "of the budget saved",
        "adwin",
        "Loss and decisions",
        "By source",
    ):
        assert words in told, words
    assert len(shown.get("plotly_chart")) == 1


def test_a_private_run_shows_its_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_run(tmp_path / "private", [row(k, None) for k in range(5)], config=PRIVATE)
    app = show(folder.path, monkeypatch)
    told = html(app)
    assert "<h2>Differential privacy</h2>" in told
    assert "ε = 2.5" in told
    assert "loss not finite" not in json.dumps(json.loads(app.get("plotly_chart")[0].proto.spec))


def test_names_of_a_hostile_folder_are_text(shown: AppTest) -> None:
    told = html(shown)
    assert "<img" not in told
    assert "&lt;img src=x" in told
    figure = json.loads(shown.get("plotly_chart")[0].proto.spec)
    assert "<img" not in json.dumps(figure)


def test_a_run_is_stopped_only_after_a_confirmation(shown: AppTest, run_folder: RunFolder) -> None:
    app = press(shown, "Stop")
    assert not run_folder.stop_requested
    assert "ends after its round" in app.warning[0].value
    app = press(app, "No")
    assert not run_folder.stop_requested
    app = press(press(app, "Stop"), "Yes: stop")
    assert run_folder.stop_requested
    assert "ends after its round" in html(app)


def test_a_run_is_switched_to_shadow_and_back(shown: AppTest, run_folder: RunFolder) -> None:
    app = press(shown, "Switch to shadow")
    assert "learning rate 0.001, batch size 8, window 8" in app.warning[0].value
    assert not run_folder.shadow_requested
    app = press(app, "Yes: switch to shadow")
    assert run_folder.shadow_requested
    press(press(app, "Leave shadow"), "Yes: leave shadow")
    assert not run_folder.shadow_requested


def test_a_run_that_is_over_has_no_buttons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_run(tmp_path / "run", [row(k, 3.0) for k in range(5)])
    folder.ending.write_text('{"ended": "the stream ended", "seconds": 1, "dead_letters": {}}\n')
    app = show(folder.path, monkeypatch)
    assert "Over: the stream ended" in html(app)
    assert not app.button


def test_new_rounds_are_there_at_the_next_look(shown: AppTest, run_folder: RunFolder) -> None:
    assert "Over 20 rounds" in html(shown)
    for path, line in (
        (run_folder.stream, {"round": 20, "source": "a", "segment": 2, "n_bytes": 100}),
        (run_folder.decisions, row(20, 2.0)),
    ):
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")
    assert "Over 21 rounds" in html(shown.run())


def test_a_run_is_compared_with_another_of_the_same_stream(shown: AppTest, run_folder: RunFolder) -> None:
    chunk = {"source": HOSTILE, "n_bytes": 100}
    arrived = [{"round": k, "segment": k // 10, **chunk} for k in range(20)]
    make_run(run_folder.path.parent / "base", [row(k, 3.5) for k in range(20)], arrived)
    app = shown.run()
    app.selectbox[0].select_index(list(app.selectbox[0].options).index("one")).run()
    app.selectbox[1].select_index(1).run()
    assert "regret against policy (base)" in html(app)


@pytest.mark.parametrize("damage", ["config", "decision", "row", "half", "ending"])
def test_a_damaged_folder_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    folder = make_run(tmp_path / "run", [row(k, 3.0) for k in range(5)])
    where: dict[str, tuple[Path, str]] = {
        "config": (folder.path / "config.json", "{"),
        "decision": (folder.decisions, "[" * 100_000 + "\n"),
        "row": (folder.decisions, json.dumps({**row(0, 3.0), "lr": "<b>"}) + "\n"),
        "half": (folder.stream, '{"round": 0}\n'),
        "ending": (folder.ending, "{]\n"),
    }
    path, content = where[damage]
    path.write_text(content)
    told = html(show(folder.path, monkeypatch))
    assert "This folder cannot be shown" in told
    assert "<b>'" not in told


def test_a_training_is_shown_with_its_curves_and_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_training(tmp_path / "train")
    with FolderLock(folder.path):
        app = show(folder.path, monkeypatch)
        assert "Training: profile quick, seed 3" in html(app)
        assert len(app.get("plotly_chart")) == 3
        press(press(app, "Stop"), "Yes: stop")
    assert folder.stop_requested


def test_a_run_before_its_first_round_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder.create(tmp_path / "run")
    config: dict[str, Any] = CONFIG
    folder.write_config(config)
    assert "Nothing to show yet" in show(folder.path, monkeypatch).info[0].value


def test_a_long_run_that_is_over_is_read_at_the_pace_of_one_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = following.RunFollower.read
    monkeypatch.setattr(following, "BLOCK_ROUNDS", 8)
    monkeypatch.setattr(following.RunFollower, "read", lambda self: read(self, 0.0))  # a block a look
    folder = make_run(tmp_path / "long", [row(k, 3.0) for k in range(40)])
    folder.ending.write_text('{"ended": "the stream ended", "seconds": 1, "dead_letters": {}}\n')
    paces: list[float] = []
    fragment = st.fragment

    def noted(look: Any, *, run_every: float) -> Any:
        paces.append(run_every)
        return fragment(look, run_every=run_every)

    monkeypatch.setattr(st, "fragment", noted)
    app = show(folder.path, monkeypatch)
    assert paces[-1] == page.EVERY_S
    while "Over 40 rounds" not in html(app):
        app.run()
    app.run()
    assert paces[-1] == page.EVERY_OVER_S
