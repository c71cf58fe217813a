import re
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from olrl.analysis.style import panels, save
from olrl.control.decision import Decision
from olrl.learners.learner import UpdateReport
from olrl.loop import RoundRecord
from olrl.monitor.signals import Signals
from olrl.tracking import TensorBoardTracker

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
        str(folder), size_guidance={"scalars": 1000, "tensors": 10, "images": 10}
    ).Reload()


def documented_keys() -> list[str]:
    """Keys of docs/metrics.md as patterns."""
    keys = re.findall(r"^\| `([^`]+)` \|", METRICS.read_text(), flags=re.MULTILINE)
    return [re.escape(key).replace("<detector>", "[a-z-]+").replace("<layer>", "[a-z_]+") for key in keys]


def test_every_key_that_is_written_is_documented(tmp_path: Path) -> None:
    figure, _ = panels((1.0,))
    with TensorBoardTracker(tmp_path) as tracker:
        tracker.config({"run": {"stream": "mail.jsonl"}})
        tracker.round(
            record(0, alarms=("adwin",)), guard="loss high", layer="loss_high", proposed=record(0).decision
        )
        tracker.round(record(1, loss_bpb=None))
        tracker.finish(step=1, summary="fine", figure=save(figure, tmp_path / "a.png").read_bytes())
    events = read(tmp_path)
    written = {*events.Tags()["scalars"], *events.Tags()["images"], *events.Tags()["tensors"]}
    assert len(written) > 20
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
    assert [point.step for point in events.Scalars("drift/alarm/adwin")] == alarmed
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
