import numpy as np
import pytest

from olrl.analysis.compare_figure import Curve, figure_compare
from olrl.analysis.cost_figure import CostPoint, figure_cost, spread
from olrl.analysis.profile_figure import figure_profiles
from olrl.analysis.robustness_figure import figure_robustness
from olrl.analysis.score_figure import Estimate, figure_scores


def test_a_score_far_outside_is_told_at_the_edge_and_not_dropped() -> None:
    figure = figure_scores(
        {"never": {"abrupt": Estimate(value=-9.3)}, "policy": {"abrupt": Estimate(0.5, 0.4, 0.6)}}
    )
    assert [note.get_text() for note in figure.axes[0].texts] == ["-9.3"]


def test_no_scores_is_no_figure() -> None:
    with pytest.raises(ValueError, match="no entrant has a score"):
        figure_scores({"never": {}})


def test_only_what_nothing_beats_is_on_the_front() -> None:
    points = {
        "good": CostPoint(loss_bpb=2.0, cost=100.0),
        "worse and dearer": CostPoint(loss_bpb=2.5, cost=200.0),
        "best": CostPoint(loss_bpb=1.0, cost=300.0, with_tuning=900.0),
        "never": CostPoint(loss_bpb=3.0, cost=0.0),
    }
    ax = figure_cost(points, highlight=("good",)).axes[0]
    front = np.asarray(ax.lines[0].get_xdata()).tolist()
    assert front == [100.0, 300.0]
    assert any("never: no cost" in note.get_text() for note in ax.texts)


def test_names_are_kept_apart_and_moved_no_further_than_needed() -> None:
    moved = spread(np.array([0.0, 0.0, 5.0]), gap=1.0)
    assert moved.tolist() == [-0.5, 0.5, 5.0]
    assert (np.diff(spread(np.sort(np.random.default_rng(0).normal(size=40)), gap=0.1)) >= 0.1 - 1e-12).all()


def test_a_profile_and_a_robustness_row_for_every_entrant() -> None:
    grid = np.linspace(-1, 1, 5)
    profiles = {name: np.linspace(0, 1, 5)[None].repeat(3, axis=0) for name in ("policy", "base")}
    legend = figure_profiles(grid, profiles, rival="fixed", highlight=("policy",)).legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["policy", "base"]
    figure = figure_robustness({"base": {0.125: Estimate(10.0), 8.0: Estimate(4.0, 3.0, 5.0)}, "policy": {}})
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["base", "policy"]


def test_losses_against_a_reference_are_in_per_cent_of_it() -> None:
    curves = {"fixed": Curve(loss_bpb=[2.0] * 4), "base": Curve(loss_bpb=[2.5] * 4)}
    figure = figure_compare(curves, reference="fixed")
    assert np.asarray(figure.axes[1].lines[0].get_ydata()).tolist() == pytest.approx([25.0] * 4)
    with pytest.raises(ValueError, match="not 'best'"):
        figure_compare(curves, reference="best")


def test_a_highlighted_curve_stays_in_view_where_others_leave_it() -> None:
    rounds = 20
    curves = {"fixed": Curve(loss_bpb=[2.0] * rounds)}
    curves |= {name: Curve(loss_bpb=[2.04] * rounds) for name in ("base", "drift-reset", "hypergradient")}
    curves |= {"never": Curve(loss_bpb=[6.0] * rounds)}
    lost = [2.02] * (rounds - 10) + [3.0] * 10
    limits = {}
    for highlight in (False, True):
        curves["policy"] = Curve(loss_bpb=lost, highlight=highlight)
        limits[highlight] = figure_compare(curves, reference="fixed", smooth_rounds=1).axes[1].get_ylim()[1]
    assert limits[False] < 10  # per cent
    assert 50 < limits[True] < 60


def test_no_two_of_ten_entrants_look_the_same_and_none_like_the_reference() -> None:
    curves = {f"entrant {k}": Curve(loss_bpb=[2.0 + k] * 4) for k in range(9)} | {
        "fixed": Curve(loss_bpb=[2.0] * 4)
    }
    shown = figure_compare(curves, reference="fixed").axes[1].lines
    assert len({(line.get_color(), line.get_linestyle()) for line in shown}) == 10
