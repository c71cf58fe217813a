"""What a run shows in TensorBoard (no PyTorch needed)."""

import math
from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.plugins.text.plugin_data_pb2 import TextPluginData

from olrl.alarm_spikes import AlarmSpikes
from olrl.control.decision import BATCH_SIZES, MAX_LR_NOTCHES, WINDOWS, Decision
from olrl.control.explain import Explanation
from olrl.event_file import EventFile
from olrl.event_plugins import RESULTS, ended_summary, histogram_value, layout_summary, settings_summaries
from olrl.loop import RoundRecord, loss_of
from olrl.monitor.signals import Signals

EMA_ROUNDS = 10
HISTOGRAM_ROUNDS = 25  # decisions in a histogram, at least; a fortieth of the run where that is more
EXPLAINED = ("lr", "update")  # knobs whose reasons are scalars; those of all are in explanations.jsonl
_KEPT_AS_THEY_ARE = ("loss_bpb", "alarms", "lr", "batch_size", "window", "update_cost", "budget", "price")
SIGNALS = tuple(f.name for f in fields(Signals) if f.name not in _KEPT_AS_THEY_ARE)


class EventWriter:
    """A TensorBoard event file: scalars of one step together, texts and pictures.

    A step's scalars travel in one event: 40 of them cost about 0.05 ms together, where one event each would
    cost 0.5. An event is in the file when the call returns, and is no longer in memory.
    """

    def __init__(self, folder: Path) -> None:
        self._file = EventFile(folder)

    def scalars(self, values: Mapping[str, float], *, step: int) -> None:
        """Write scalars by tag; those that are not finite are left out."""
        summary = Summary()
        for tag, value in values.items():
            if math.isfinite(value):
                summary.value.add(tag=tag, simple_value=value)
        if summary.value:
            self._file.add(summary, step=step)

    def text(self, tag: str, markdown: str, *, step: int) -> None:
        """Write a text, shown as Markdown."""
        data = SummaryMetadata.PluginData(
            plugin_name="text", content=TextPluginData(version=0).SerializeToString()
        )
        tensor = TensorProto(
            dtype="DT_STRING",
            string_val=[markdown.encode()],
            tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
        )
        value = Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=data), tensor=tensor)
        self._file.add(Summary(value=[value]), step=step)

    def image(self, tag: str, png: bytes, *, step: int) -> None:
        """Write a picture given as the bytes of a PNG file."""
        width, height = (int.from_bytes(png[k : k + 4], "big") for k in (16, 20))  # from the PNG's header
        image = Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=png)
        self._file.add(Summary(value=[Summary.Value(tag=tag, image=image)]), step=step)

    def layout(self, has: Collection[str]) -> None:
        """Write the charts of the tab Custom Scalars: how well, what it did, why, at what cost.

        `has` names what this run fills charts of (`SHOWN`).
        """
        self._file.add(layout_summary(has), step=0)

    def settings(self, settings: Mapping[str, Any]) -> None:
        """Write what this run is compared with others by, for the tab HParams."""
        for summary in settings_summaries(settings):
            self._file.add(summary, step=0)

    def results(self, results: Mapping[str, float], *, step: int) -> None:
        """Write what the run came to (names of `RESULTS`), and that it is over."""
        assert set(results) <= set(RESULTS), f"unknown results {sorted(set(results) - set(RESULTS))}"
        self.scalars(results, step=step)
        self._file.add(ended_summary(), step=step)

    def histograms(self, histograms: Mapping[str, tuple[NDArray[np.int64], int]], *, step: int) -> None:
        """Write counts of whole numbers by tag, each with the number that its first count is of."""
        values = [histogram_value(tag, counts, first=first) for tag, (counts, first) in histograms.items()]
        self._file.add(Summary(value=values), step=step)

    def restarted(self, *, step: int) -> None:
        """Say that a run goes on at this step, and that what a viewer has read of later ones is void."""
        self._file.restarted(step=step)

    def sizes(self) -> dict[str, int]:
        """The folder's event files by name, with the size each has on the disk when this returns."""
        return {**event_sizes(self._file.folder), self._file.name: self._file.sync()}

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class DecisionHistograms:
    """Counts of the decisions since they were last taken out.

    The rate is counted in factors of two from the base, the batch size in powers of two, the window by its place.
    """

    def __init__(self, base_lr: float | None) -> None:
        self.base_lr = base_lr
        self._taken = 0
        self._clear()

    def _clear(self) -> None:
        self._rounds = 0
        self._lr = np.zeros(4 * MAX_LR_NOTCHES + 1, dtype=np.int64)  # a guard may go lower than a policy
        self._batch = np.zeros(len(BATCH_SIZES), dtype=np.int64)
        self._window = np.zeros(len(WINDOWS), dtype=np.int64)

    def add(self, decision: Decision) -> None:
        """Count a decision."""
        self._rounds += 1
        if self.base_lr is not None and decision.lr > 0:
            notches = round(math.log2(decision.lr / self.base_lr)) + 2 * MAX_LR_NOTCHES
            self._lr[min(max(notches, 0), len(self._lr) - 1)] += 1
        self._batch[min(max(round(math.log2(decision.batch_size)), 0), len(self._batch) - 1)] += 1
        self._window[WINDOWS.index(decision.window)] += 1

    def take(self) -> dict[str, tuple[NDArray[np.int64], int]]:
        """The counts by tag if there are enough, else nothing; counting starts anew."""
        if self._rounds < max(HISTOGRAM_ROUNDS, self._taken // 40):
            return {}
        counts = {
            "decisions/lr_notches": (self._lr, -2 * MAX_LR_NOTCHES),
            "decisions/batch_size_log2": (self._batch, 0),
            "decisions/window_place": (self._window, 0),
        }
        self._taken += self._rounds
        self._clear()
        return {tag: (of, first) for tag, (of, first) in counts.items() if of.any()}

    def state_dict(self) -> dict[str, Any]:
        """The counts so far, JSON-able."""
        counts = {"lr": self._lr.tolist(), "batch": self._batch.tolist(), "window": self._window.tolist()}
        return {"base_lr": self.base_lr, "taken": self._taken, "rounds": self._rounds, **counts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self.base_lr, self._taken, self._rounds = state["base_lr"], state["taken"], state["rounds"]
        self._lr, self._batch, self._window = (
            np.array(state[name], dtype=np.int64) for name in ("lr", "batch", "window")
        )


def event_sizes(folder: Path) -> dict[str, int]:
    """The event files in a folder by name, with their sizes."""
    return {path.name: path.stat().st_size for path in sorted(folder.glob("events.out.tfevents.*"))}


class TensorBoardTracker:
    """Writes each round of a run to TensorBoard; what every key means stands in docs/metrics.md.

    TensorBoard's reader keeps about 1,000 points a tag, so a flag that is 1 in ten of 20,000 rounds would
    vanish: alarms and the guard's interventions are written as counts so far, and alarms also as spikes
    with points only where there was one (`AlarmSpikes`). Signals are written every `signals_every` rounds. Where
    `withheld` names the loss, none is written, nor that it is missing.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, TensorBoardTracker(Path(folder)) as tracker:
    ...     tracker.config({"seed": 0})
    """

    def __init__(
        self, folder: Path, *, signals_every: int = 1, withheld: frozenset[str] = frozenset()
    ) -> None:
        if signals_every < 1:
            raise ValueError(f"signals_every must be at least 1 round, not {signals_every!r}")
        self._writer = EventWriter(folder)
        self._signals_every = signals_every
        self._withheld = withheld
        self._keep = math.exp(-1.0 / EMA_ROUNDS)
        self._ema, self._ema_weight = 0.0, 0.0
        self._spent = self._budget = 0.0
        self._alarms: dict[str, int] = {}
        self._spikes = AlarmSpikes()
        self._skipped = 0
        self._interventions = 0
        self._layers: dict[str, int] = {}
        self._nonfinite = 0
        self._reselections: dict[str, int] = {}
        self._histograms = DecisionHistograms(None)

    def __enter__(self) -> "TensorBoardTracker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def config(self, config: Mapping[str, Any]) -> None:
        """Write the configuration as a table, nested settings as `outer.inner`; and how all is to be shown.

        What is None was left to its default, and left out.
        """
        self._writer.layout(_shown(config.get("run", {}), self._withheld))
        asked = {**config.get("run", {}), **{f"base.{k}": v for k, v in config.get("base", {}).items()}}
        self._writer.settings({name: value for name, value in asked.items() if name != "out"})
        self._histograms = DecisionHistograms(config.get("base", {}).get("lr"))
        rows = "\n".join(f"| {name} | {value} |" for name, value in _flat(config))
        self._writer.text("config", f"| setting | value |\n|---|---|\n{rows}", step=0)

    def round(
        self,
        record: RoundRecord,
        *,
        guard: str | None = None,
        layer: str | None = None,
        proposed: Decision | None = None,
        explanation: Explanation | None = None,
    ) -> None:
        """Write one round; `guard` is the guard's reason for intervening, `layer` which of its layers did.

        `proposed` is what was not applied.
        """
        step = record.round
        self._skipped += not record.decision.update
        values = {**self._loss(record), **self._decision("decision", record.decision)}
        values |= {"decision/updates": record.report.updates, "decision/skipped_total": self._skipped}
        values |= {**self._cost(record), **self._drift(record)}
        if proposed is not None:
            values |= self._decision("proposed", proposed)
        if guard is not None:
            self._interventions += 1
            self._writer.text("guard/reason", guard, step=step)
        if layer is not None:
            self._layers[layer] = self._layers.get(layer, 0) + 1
        values |= {f"guard/total/{name}": float(count) for name, count in self._layers.items()}
        values |= self._text(record)
        values["guard/interventions_total"] = self._interventions
        if step % self._signals_every == 0:
            values |= _signals(record.signals)
        if explanation is not None:
            values |= _reasons(explanation)
        for at, spikes in self._spikes.points(record.signals.alarms, step=step):
            self._writer.scalars(spikes, step=at)
        self._writer.scalars(values, step=step)
        self._histograms.add(record.decision)
        if taken := self._histograms.take():
            self._writer.histograms(taken, step=step)

    def policy(self, png: bytes) -> None:
        """Write what the run's policy does, as a picture."""
        self._writer.image("policy/map", png, step=0)

    def state_dict(self) -> dict[str, Any]:
        """Running figures, and the files with the sizes they have on the disk when this returns, JSON-able."""
        return {
            "files": self._writer.sizes(),
            "ema": [self._ema, self._ema_weight],
            "cost": [self._spent, self._budget],
            "alarms": dict(self._alarms),
            "spikes": self._spikes.state_dict(),
            "skipped": self._skipped,
            "interventions": self._interventions,
            "layers": dict(self._layers),
            "nonfinite": self._nonfinite,
            "reselections": dict(self._reselections),
            "histograms": self._histograms.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any], *, step: int) -> None:
        """Continue from `state_dict()` at this step; whoever does so has cut the files back to their sizes."""
        self._ema, self._ema_weight = state["ema"]
        self._spent, self._budget = state["cost"]
        self._alarms, self._layers = dict(state["alarms"]), dict(state["layers"])
        self._interventions, self._nonfinite = state["interventions"], state["nonfinite"]
        self._skipped = state["skipped"]
        self._spikes.load_state_dict(state["spikes"])
        self._reselections = dict(state["reselections"])
        self._histograms.load_state_dict(state["histograms"])
        self._writer.restarted(step=step)

    def finish(
        self, *, step: int, summary: str, figures: Mapping[str, bytes], results: Mapping[str, float]
    ) -> None:
        """Write what a run comes to: its summary (Markdown), figures (PNG) by name, results by their tags."""
        self._writer.scalars(self._spikes.end(step=step), step=step)
        self._writer.text("summary", summary, step=step)
        for name, figure in figures.items():
            self._writer.image(f"figures/{name}", figure, step=step)
        self._writer.results(results, step=step)

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()

    def _loss(self, record: RoundRecord) -> dict[str, float]:
        if "loss_nats" in self._withheld:
            return {}
        loss, unit = loss_of(record), "bits_per_label" if record.judged else "bpb"
        if loss is None:
            self._nonfinite += 1
            return {"loss/nonfinite_total": self._nonfinite}
        self._ema = self._keep * self._ema + (1 - self._keep) * loss
        self._ema_weight = self._keep * self._ema_weight + (1 - self._keep)
        return {
            f"loss/{unit}": loss,
            f"loss/{unit}_ema": self._ema / self._ema_weight,
            "loss/nonfinite_total": self._nonfinite,
        }

    def _decision(self, room: str, decision: Decision) -> dict[str, float]:
        base_lr = self._histograms.base_lr
        notches = (
            {f"{room}/lr_notches": math.log2(decision.lr / base_lr)} if base_lr and decision.lr > 0 else {}
        )
        return {
            f"{room}/lr": decision.lr,
            **notches,
            f"{room}/batch_size": decision.batch_size,
            f"{room}/window": decision.window,
            f"{room}/window_place": WINDOWS.index(decision.window),
            f"{room}/update": float(decision.update),
            **{f"{room}/{name}": value for name, value in decision.regularisation().items() if value},
        }

    def _cost(self, record: RoundRecord) -> dict[str, float]:
        self._spent += record.spent
        self._budget += record.signals.budget
        return {
            "cost/spent": record.spent,
            "cost/spent_total": self._spent,
            "cost/saved_total": self._budget - self._spent,
            "cost/saved_share": 1.0 - self._spent / self._budget,
        }

    def _text(self, record: RoundRecord) -> dict[str, float]:
        """Of a round in which a classifier's text features were chosen anew."""
        found = record.reselected
        if found is None:
            return {}
        self._reselections[found.reason] = self._reselections.get(found.reason, 0) + 1
        total = f"text/chosen_anew/{found.reason.replace(' ', '_')}"
        return {
            "text/features": found.chosen,
            "text/changed": found.changed,
            total: self._reselections[found.reason],
        }

    def _drift(self, record: RoundRecord) -> dict[str, float]:
        values: dict[str, float] = {}
        for name in record.signals.alarms:
            self._alarms[name] = self._alarms.get(name, 0) + 1
        values |= {f"drift/total/{name}": float(count) for name, count in self._alarms.items()}
        return values | {"drift/total": float(sum(self._alarms.values()))}


def _shown(run: Mapping[str, Any], withheld: Collection[str]) -> set[str]:
    """What a run with these settings, that keeps these signals to itself, fills charts of."""
    has = {"signals"} if "loss_nats" in withheld else {"signals", "loss"}
    if run.get("task", "lm") != "lm":
        has.add("labels")
    if run.get("controller") == "policy":
        has.add("policy")
    return has


def _signals(signals: Signals) -> dict[str, float]:
    measured = {name: getattr(signals, name) for name in SIGNALS}
    return {f"signals/{name}": float(value) for name, value in measured.items() if value is not None}


def _reasons(explanation: Explanation) -> dict[str, float]:
    return {
        f"explain/{knob}/{group}": value
        for knob in EXPLAINED
        for group, value in explanation.by_group(knob).items()
    }


def _flat(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in config.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}.")
        elif value is not None:
            rows.append((f"{prefix}{name}", value))
    return rows
