"""What TensorBoard's plugins take beside plain scalars: a layout, hyperparameters, histograms (as protos)."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalars
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.plugins.hparams import metadata as hparams


@dataclass(frozen=True)
class Chart:
    """A chart of the tab Custom Scalars, by patterns of whole tags, and what a run must have to fill it."""

    title: str
    tags: tuple[str, ...]
    needs: tuple[str, ...] = ()  # of `SHOWN`, all of them


# What only some runs have: a loss that is not withheld, labels, a reference beside them, signals in the events, a
# policy's explanations.
SHOWN = frozenset({"loss", "labels", "reference", "signals", "policy"})
# Four questions, each with charts. All lines of a run have its colour, so a chart has few.
LAYOUT: dict[str, tuple[Chart, ...]] = {
    "1 How well: loss against reference and rivals": (
        Chart(
            "loss, bits per byte, averaged",
            (r"loss/(reference_)?bpb_ema", r"loss/bits_per_label_ema"),
            ("loss",),
        ),
        Chart("loss saved against the reference (above 0: better)", (r"loss/saved_bpb_ema",), ("reference",)),
        Chart("loss of each chunk, bits per byte", (r"loss/bpb", r"loss/bits_per_label"), ("loss",)),
        Chart("share of answers that were right", (r"signals/metric",), ("labels",)),
    ),
    "2 What it did: decisions": (
        Chart("learning rate, in factors of two from the base", (r"decision/lr_notches", r"proposed/lr_notches")),
        Chart("batch size, sequences", (r"decision/batch_size", r"proposed/batch_size")),
        Chart("window, place on the ladder (7: reservoir)", (r"decision/window_place", r"proposed/window_place")),
        Chart("rounds skipped so far", (r"decision/skipped_total",)),
    ),
    "3 Why: strongest signals and drift": (
        Chart("drift alarms, a spike each", (r"drift/alarm/.+",)),
        Chart("drift alarms so far", (r"drift/total",)),
        Chart("has the text changed: tokens against the window's", (r"signals/hist_shift",), ("signals", "loss")),
        Chart("has the text changed: loss on old minus new, nats", (r"signals/old_new_gap",), ("signals", "loss")),
        Chart("cosine of steps (below 0: overshooting)", (r"signals/grad_cos",), ("signals",)),
        Chart("size of a round's move, share of the weights", (r"signals/update_ratio",), ("signals",)),
        Chart("what the loss said for a higher rate", (r"explain/lr/loss",), ("policy",)),
        Chart("what the alarms said for a higher rate", (r"explain/lr/alarm",), ("policy",)),
        Chart("what the steps' cosine said for a higher rate", (r"explain/lr/grad_cos",), ("policy",)),
        Chart("what the moves' size said for a higher rate", (r"explain/lr/update_ratio",), ("policy",)),
        Chart("what the loss said for training", (r"explain/update/loss",), ("policy",)),
        Chart("what the alarms said for training", (r"explain/update/alarm",), ("policy",)),
    ),
    "4 What it cost, and what the guard did": (
        Chart("units spent so far", (r"cost/spent_total",)),
        Chart("share of the budget saved so far", (r"cost/saved_share",), ("signals",)),
        Chart("units saved against the reference so far", (r"cost/saved_against_reference_total",), ("reference",)),
        Chart("interventions of the guard so far", (r"guard/interventions_total",)),
        Chart("losses not finite so far", (r"loss/nonfinite_total",), ("signals", "loss")),
    ),
}  # fmt: skip
# What runs are compared by: scalars that each writes at its end, and what they are called.
RESULTS: dict[str, str] = {
    "result/loss_bpb": "loss, bits per byte",
    "result/spent": "cost, units",
    "result/saved_share": "share of the budget saved",
    "result/alarm_rounds": "rounds with a drift alarm",
    "result/guard_rounds": "rounds the guard intervened in",
    "result/loss_bits_per_label": "loss, bits per label",
    "result/accuracy": "share of answers that were right",
    "result/macro_f1": "F1, mean over classes",
}


# Settings that runs are compared by. A viewer shows five columns: first those said to differ, then by the alphabet.
COMPARED_BY = ("controller", "policy", "model", "stream", "base.lr")


def layout_summary(has: Collection[str]) -> Summary:
    """The charts of the tab Custom Scalars that a run fills which has these of `SHOWN`; a viewer joins runs'."""
    assert SHOWN.issuperset(has), f"unknown {sorted(set(has) - SHOWN)}"
    categories = [
        layout_pb2.Category(
            title=question,
            chart=[
                layout_pb2.Chart(
                    title=chart.title,
                    multiline=layout_pb2.MultilineChartContent(tag=[f"^{tag}$" for tag in chart.tags]),
                )
                for chart in charts
                if set(chart.needs) <= set(has)
            ],
        )
        for question, charts in LAYOUT.items()
    ]
    content = layout_pb2.Layout(category=categories).SerializeToString()
    tensor = TensorProto(dtype="DT_STRING", string_val=[content])
    value = Summary.Value(
        tag=custom_scalars.CONFIG_SUMMARY_TAG,
        metadata=custom_scalars.create_summary_metadata(),
        tensor=tensor,
    )
    return Summary(value=[value])


def settings_summaries(settings: Mapping[str, Any]) -> list[Summary]:
    """A run's settings and what it is judged by, for the tab HParams; None is left out.

    They belong to the run that they are written into: `SummaryWriter.add_hparams` would make a run of its own for
    them.
    """
    start = plugin_data_pb2.SessionStartInfo(start_time_secs=time.time())
    for name, value in settings.items():
        if isinstance(value, bool):
            start.hparams[name].bool_value = value
        elif isinstance(value, int | float):
            start.hparams[name].number_value = value
        elif value is not None:
            start.hparams[name].string_value = str(value)
    metrics = [
        api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=shown)
        for tag, shown in RESULTS.items()
    ]
    kinds = {
        "bool_value": "DATA_TYPE_BOOL",
        "number_value": "DATA_TYPE_FLOAT64",
        "string_value": "DATA_TYPE_STRING",
    }
    known = [
        api_pb2.HParamInfo(
            name=name, type=kinds[str(start.hparams[name].WhichOneof("kind"))], differs=name in COMPARED_BY
        )
        for name, value in settings.items()
        if value is not None
    ]
    experiment = api_pb2.Experiment(hparam_infos=known, metric_infos=metrics, time_created_secs=time.time())
    return [
        _hparams(hparams.EXPERIMENT_TAG, experiment=experiment),
        _hparams(hparams.SESSION_START_INFO_TAG, session_start_info=start),
    ]


def ended_summary() -> Summary:
    """That the run is over, for the tab HParams."""
    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=time.time())
    return _hparams(hparams.SESSION_END_INFO_TAG, session_end_info=end)


def _hparams(tag: str, **content: Any) -> Summary:
    data = plugin_data_pb2.HParamsPluginData(version=hparams.PLUGIN_DATA_VERSION, **content)
    metadata = SummaryMetadata(
        plugin_data=SummaryMetadata.PluginData(
            plugin_name=hparams.PLUGIN_NAME, content=data.SerializeToString()
        )
    )
    return Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=hparams.NULL_TENSOR)])


def histogram_value(tag: str, counts: NDArray[np.int64], *, first: int) -> Summary.Value:
    """Counts of whole numbers from `first` on, a bucket each, for the tabs Histograms and Distributions."""
    numbers = first + np.arange(len(counts))
    seen = numbers[counts > 0]
    return Summary.Value(
        tag=tag,
        histo=HistogramProto(
            min=float(seen.min()) - 0.5,
            max=float(seen.max()) + 0.5,
            num=float(counts.sum()),
            sum=float(counts @ numbers),
            sum_squares=float(counts @ numbers**2),
            bucket_limit=(numbers + 0.5).tolist(),
            bucket=counts.astype(float).tolist(),
        ),
    )
