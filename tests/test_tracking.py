import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams import plugin_data_pb2

from olrl.analysis.style import panels, save
from olrl.control.decision import Decision
from olrl.control.explain import Explanation
from olrl.control.policy import load_policy
from olrl.event_plugins import LAYOUT, RESULTS
from olrl.learners.learner import UpdateReport
from olrl.learners.privacy import WITHHELD
from olrl.loop import RoundRecord
from olrl.monitor.feature_spec import FEATURE_NAMES
from olrl.monitor.signals import Signals
from olrl.monitor.text_selection import Reselection
from olrl.tracking import DecisionHistograms, TensorBoardTracker

FEATURE_GROUPS = sorted(set(load_policy("default").features.groups))
METRICS = Path(__file__).parents[1] / "docs" / "metrics.md"


def record(number: int, *, loss_bpb: float | None = 2.0, alarms: tuple[str, ...] = ()) -> RoundRecord:
    signals = Signals(
        loss_nats=1.4, alarms=alarms, lr=1e-3, batch_size=8, window=4, grad_cos=0.5, budget=64.0
    )
    return RoundRecord(
        round=number,
        signals=signals,
        decision=Decision(lr=2e-3, batch_size=4, window=0),
        report=UpdateReport(updates=6),
        loss_nats=1.4,
        loss_bpb=loss_bpb,
        n_bytes=100,
        spent=48.0,
        signal_examples=0,
        source="mail.jsonl",
        segment=0,
    )


def read(folder: Path) -> EventAccumulator:
    """The events as TensorBoard shows them: it keeps 1,000 points a tag."""
    return EventAccumulator(
        str(folder), size_guidance={"scalars": 1000, "tensors": 10, "images": 10, "histograms": 50}
    ).Reload()


def documented_keys() -> list[str]:
    """Keys of docs/metrics.md as patterns."""
    keys = re.findall(r"^\| `([^`]+)` \|", METRICS.read_text(), flags=re.MULTILINE)
    patterns = {"<detector>": "[a-z-]+", "<layer>": "[a-z_]+", "<signal>": "[a-z_]+", "<reason>": "[a-z_]+"}
    escaped = [re.escape(key) for key in keys]
    for name, pattern in patterns.items():
        escaped = [key.replace(name, pattern) for key in escaped]
    return escaped


def test_every_key_that_is_written_is_documented(tmp_path: Path) -> None:
    figure, _ = panels((1.0,))
    with TensorBoardTracker(tmp_path) as tracker:
        tracker.config({"run": {"stream": "mail.jsonl"}, "base": {"lr": 1e-3}})
        tracker.round(
            record(0, alarms=("adwin",)), guard="loss high", layer="loss_high", proposed=record(0).decision
        )
        tracker.round(record(1, loss_bpb=None))
        anew = Reselection(reason="drift alarm", chosen=8, changed=3)
        tracker.round(replace(record(2), reselected=anew))
        explained = Explanation(values=np.ones((4, len(FEATURE_NAMES))))
        for k in range(3, 30):
            tracker.round(record(k), explanation=explained)
        png = save(figure, tmp_path / "a.png").read_bytes()
        tracker.policy(png)
        results = dict.fromkeys(RESULTS, 1.0)
        tracker.finish(
            step=1, summary="fine", figures={"loss_and_decisions": png, "explanations": png}, results=results
        )
    events = read(tmp_path)
    tags = events.Tags()
    written = {key for kind in ("scalars", "images", "tensors", "histograms") for key in tags[kind]}
    plugins = {key for key in written if key.startswith("_hparams_/") or key == "custom_scalars__config__"}
    assert len(plugins) == 4
    written -= plugins
    assert len(written) > 60
    patterns = documented_keys()
    assert [key for key in sorted(written) if not any(re.fullmatch(p, key) for p in patterns)] == []


def test_every_signal_is_documented() -> None:
    from olrl.tracking import SIGNALS

    assert {f"signals/{name}" for name in SIGNALS} <= set(documented_keys())


def test_ten_alarms_in_twenty_thousand_rounds_stay_visible(tmp_path: Path) -> None:
    alarmed = list(range(1000, 20_000, 2000))
    with TensorBoardTracker(tmp_path, signals_every=100) as tracker:
        for k in range(20_000):
            tracker.round(record(k, alarms=("adwin",) if k in alarmed else ()))
    events = read(tmp_path)
    spikes = [(point.step, point.value) for point in events.Scalars("drift/alarm/adwin")]
    assert spikes == [(0, 0.0), *((k + d, float(d == 0)) for k in alarmed for d in range(-1, 5))]
    assert events.Scalars("drift/total")[-1].value == 10
    assert len(events.Scalars("loss/bpb")) <= 1000  # the limit this test is about


def test_each_layer_of_the_guard_is_counted_by_itself(tmp_path: Path) -> None:
    layers = ["slew", None, "rollback", "slew"]
    with TensorBoardTracker(tmp_path) as tracker:
        for k, layer in enumerate(layers):
            tracker.round(record(k), guard=layer and f"because of {layer}", layer=layer)
    events = read(tmp_path)
    totals = {name: events.Scalars(f"guard/total/{name}")[-1].value for name in ("slew", "rollback")}
    assert totals == {"slew": 2, "rollback": 1}
    assert events.Scalars("guard/interventions_total")[-1].value == 3


def test_costs_add_up(tmp_path: Path) -> None:
    with TensorBoardTracker(tmp_path) as tracker:
        for k in range(3):
            tracker.round(record(k))
    last = {
        tag: points[-1].value
        for tag in read(tmp_path).Tags()["scalars"]
        if (points := read(tmp_path).Scalars(tag))
    }
    assert (last["cost/spent_total"], last["cost/saved_total"]) == (144.0, 48.0)
    assert last["cost/saved_share"] == pytest.approx(0.25)
    assert (last["decision/window"], last["decision/window_place"]) == (0, 7)


def test_a_loss_that_was_not_finite_leaves_no_point_and_does_not_poison_the_average(tmp_path: Path) -> None:
    with TensorBoardTracker(tmp_path) as tracker:
        for k in range(4):
            tracker.round(record(k, loss_bpb=None if k == 1 else 2.0))
    events = read(tmp_path)
    assert [point.step for point in events.Scalars("loss/bpb")] == [0, 2, 3]
    assert events.Scalars("loss/bpb_ema")[-1].value == pytest.approx(2.0)
    assert events.Scalars("loss/nonfinite_total")[-1].value == 1


def test_signals_are_written_as_often_as_asked(tmp_path: Path) -> None:
    with TensorBoardTracker(tmp_path, signals_every=3) as tracker:
        for k in range(7):
            tracker.round(record(k))
    assert [point.step for point in read(tmp_path).Scalars("signals/grad_cos")] == [0, 3, 6]


def test_every_chart_shows_something_that_is_written() -> None:
    """A pattern that matches no documented key would be an empty chart."""
    keys = re.findall(r"^\| `([^`]+)`", METRICS.read_text(), flags=re.MULTILINE)
    keys += re.findall(r"`(loss/[a-z_]+|cost/[a-z_]+)`", METRICS.read_text())
    signals = ("grad_cos", *FEATURE_GROUPS)
    keys += [key.replace("<signal>", name) for key in keys if "<signal>" in key for name in signals]
    for charts in LAYOUT.values():
        for chart in charts:
            for pattern in chart.tags:
                assert [key for key in keys if re.fullmatch(pattern, key)], pattern


@pytest.mark.parametrize("private", [False, True])
def test_a_run_that_withholds_its_loss_promises_no_chart_of_it(tmp_path: Path, private: bool) -> None:
    with TensorBoardTracker(tmp_path, withheld=WITHHELD if private else frozenset()) as tracker:
        tracker.config({"run": {"controller": "base"}})
    value = read(tmp_path).Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0]
    charts = [chart for category in Layout.FromString(value).category for chart in category.chart]
    tags = {tag for chart in charts for tag in chart.multiline.tag}
    of_loss = {
        tag for tag in tags if tag.startswith(("^loss/", "^signals/hist_shift", "^signals/old_new_gap"))
    }
    assert bool(of_loss) is not private
    assert "^decision/batch_size$" in tags


def test_settings_and_results_belong_to_the_run_itself(tmp_path: Path) -> None:
    """Written by add_hparams they would be a run of their own, without curves."""
    with TensorBoardTracker(tmp_path) as tracker:
        tracker.config(
            {"run": {"controller": "base", "rounds": 3, "follow": False, "policy": None}, "base": {"lr": 1.0}}
        )
        tracker.finish(step=3, summary="", figures={}, results={"result/loss_bpb": 2.5})
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
    events = read(tmp_path)
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    started = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert (started["controller"].string_value, started["rounds"].number_value) == ("base", 3.0)
    assert (started["follow"].bool_value, "policy" in started, started["base.lr"].number_value) == (
        False,
        False,
        1.0,
    )
    assert events.Scalars("result/loss_bpb")[0].value == 2.5


def test_a_histogram_counts_the_decisions_since_the_last_one(tmp_path: Path) -> None:
    with TensorBoardTracker(tmp_path) as tracker:
        tracker.config({"base": {"lr": 1e-3}})
        for k in range(60):
            tracker.round(record(k))  # twice the base's rate, batches of 4, the reservoir
    first, second = read(tmp_path).Histograms("decisions/lr_notches")
    assert (first.step, second.step) == (24, 49)
    for histogram, value in (("lr_notches", 1), ("batch_size_log2", 2), ("window_place", 7)):
        point = read(tmp_path).Histograms(f"decisions/{histogram}")[0].histogram_value
        assert (point.num, point.sum, point.min, point.max) == (25, 25 * value, value - 0.5, value + 0.5)


def test_histograms_of_a_long_run_are_few(tmp_path: Path) -> None:
    counted, histograms = 0, DecisionHistograms(1e-3)
    for _ in range(50_000):
        histograms.add(Decision(lr=1e-3, batch_size=4, window=0))
        counted += bool(histograms.take())
    assert counted < 240
