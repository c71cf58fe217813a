from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from olrl.analysis.compare_figure import Curve, figure_compare
from olrl.analysis.figures import figure_run, save_run_figure
from olrl.analysis.privacy import WITHHELD_SHORT
from olrl.analysis.records import read_run
from olrl.analysis.style import save
from tests.run_folders import PRIVATE, make_run, row


def _labels(figure: Figure) -> set[str]:
    return {text.get_text() for text in figure.legends[0].get_texts()}


def test_all_that_happened_is_marked(tmp_path: Path) -> None:
    rows = [row(k, 3.0) for k in range(20)]
    rows[4] |= {"drift": ["adwin"]}
    rows[5] |= {"guard": "loss missing or not finite", "loss_bpb": None}
    rows[6] |= {"update": False, "updates": 0, "spent": 0.0}
    labels = _labels(figure_run(read_run(make_run(tmp_path / "run", rows))))
    assert {"drift alarm", "guard intervened", "loss not finite", "no training"} <= labels


def test_nothing_is_marked_where_nothing_happened(tmp_path: Path) -> None:
    labels = _labels(figure_run(read_run(make_run(tmp_path / "run", [row(k, 3.0) for k in range(20)]))))
    assert labels == {"loss of each chunk", "smoothed (3 rounds)"}


def test_a_loss_that_was_withheld_is_not_marked_as_one_that_was_not_finite(tmp_path: Path) -> None:
    rows = [row(k, None) for k in range(20)]
    rows[6] |= {"guard": "a training step was not finite"}
    figure = figure_run(read_run(make_run(tmp_path / "run", rows, config=PRIVATE)))
    assert _labels(figure) == {"guard intervened"}
    assert [note.get_text() for note in figure.axes[0].texts] == [WITHHELD_SHORT]


def test_proposals_of_a_shadow_run_are_drawn(tmp_path: Path) -> None:
    proposed = {"lr": 2e-3, "batch_size": 4, "window": 0, "update": True}
    rows = [row(k, 3.0, proposed=proposed) for k in range(5)]
    assert "proposed, not applied" in _labels(figure_run(read_run(make_run(tmp_path / "run", rows))))


def test_true_segments_are_shaded_and_named_unless_they_are_to_be_hidden(tmp_path: Path) -> None:
    arrived = [
        {"round": k, "source": "headers" if k < 10 else "dutch", "segment": k // 10, "n_bytes": 9}
        for k in range(20)
    ]
    run = read_run(make_run(tmp_path / "run", [row(k, 3.0) for k in range(20)], arrived))
    shown, hidden = figure_run(run).axes[0], figure_run(run, truth=False).axes[0]
    assert [note.get_text() for note in shown.texts] == ["headers", "dutch"]
    assert [patch.get_x() for patch in shown.patches if isinstance(patch, Rectangle)] == [10.0]
    assert not hidden.texts
    assert not hidden.patches


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_the_shortest_runs_have_a_figure(tmp_path: Path, rounds: int) -> None:
    folder = make_run(tmp_path / "run", [row(k, None) for k in range(rounds)])
    assert save_run_figure(read_run(folder), folder.figure).read_bytes().startswith(b"\x89PNG")


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "run", [row(k, 3.0) for k in range(5)]))
    first, second = (save_run_figure(run, tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == second


def test_entrants_are_told_apart_however_many_there_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    curves = {f"entrant {k}": Curve(loss_bpb=3 + rng.normal(size=30)) for k in range(20)}
    figure = figure_compare(curves, title="twenty", segments=[(0, "a"), (12, "b")], alarms=[13])
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines[:20]}
    assert len(looks) == 20
    assert save(figure, tmp_path / "figures" / "compare.png").stat().st_size > 10_000


def test_decisions_are_shown_of_highlighted_entrants_only() -> None:
    knobs = {"lr": [1e-3] * 5, "batch_size": [8] * 5, "window": [4, 4, 0, 0, 0]}
    steered = Curve(loss_bpb=[3.0] * 5, highlight=True, **knobs)  # type: ignore[arg-type]
    figure = figure_compare({"base": Curve(loss_bpb=[3.0] * 5), "policy": steered})
    assert [len(ax.lines) for ax in figure.axes] == [2, 1, 1, 1]
    assert np.asarray(figure.axes[3].lines[0].get_ydata()).tolist() == [2, 2, 7, 7, 7]


def test_rounds_without_training_are_marked() -> None:
    knobs = {"lr": [1e-3] * 5, "batch_size": [8] * 5, "window": [4] * 5}
    steered = Curve(loss_bpb=[3.0] * 5, update=[1, 0, 0, 1, 0], highlight=True, **knobs)  # type: ignore[arg-type]
    rate = figure_compare({"policy": steered}).axes[1]
    bars = [(bar.get_x(), bar.get_width()) for bar in rate.patches if isinstance(bar, Rectangle)]
    assert bars == [(1, 2), (4, 1)]
    assert rate.get_legend_handles_labels()[1] == ["no training"]


def test_a_diverged_entrant_is_drawn_at_eight_bits() -> None:
    figure = figure_compare({"base": Curve(loss_bpb=[3.0, float("nan"), float("inf")])}, smooth_rounds=1)
    assert np.isfinite(np.asarray(figure.axes[0].lines[0].get_ydata(), dtype=float)).all()


def test_entrants_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"same number of rounds.*\[2, 3\]"):
        figure_compare({"a": Curve(loss_bpb=[1.0, 2.0]), "b": Curve(loss_bpb=[1.0, 2.0, 3.0])})
