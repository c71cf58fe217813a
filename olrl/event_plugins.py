"""What TensorBoard's plugins take beside plain scalars: a layout, hyperparameters, histograms (as protos)."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalars
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.plugins.hparams import metadata as hparams

# Lines of a chart have one colour a run, so more than a handful are no picture; all are in the tab Scalars.
_TOLD = "(loss|alarm|grad_cos|update_ratio|hist_shift)"
# Four questions, each with charts: a title and patterns of tags, which match a whole tag.
LAYOUT: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "1 How well: loss against reference and rivals": (
        ("loss, bits per byte, averaged", (r"loss/bpb_ema", r"loss/reference_bpb_ema", r"loss/bits_per_label_ema")),
        ("loss saved against the reference (above 0: better)", (r"loss/saved_bpb_ema",)),
        ("loss of each chunk, bits per byte", (r"loss/bpb", r"loss/bits_per_label")),
        ("share of answers that were right", (r"signals/metric",)),
    ),
    "2 What it did: decisions": (
        ("learning rate", (r"decision/lr", r"proposed/lr")),
        ("batch size, sequences", (r"decision/batch_size", r"proposed/batch_size")),
        ("window, place on the ladder (7: reservoir)", (r"decision/window_place", r"proposed/window_place")),
        ("trained (1) or skipped (0)", (r"decision/update", r"proposed/update")),
    ),
    "3 Why: strongest signals and drift": (
        ("what pushed the learning rate up or down, by signal", (rf"explain/lr/{_TOLD}",)),
        ("what spoke for training or skipping, by signal", (rf"explain/update/{_TOLD}",)),
        ("drift alarms so far", (r"drift/total.*",)),
        ("cosine of steps (below 0: overshooting)", (r"signals/grad_cos",)),
        ("has the text changed", (r"signals/hist_shift", r"signals/hist_shift_last", r"signals/old_new_gap")),
    ),
    "4 What it cost, and what the guard did": (
        ("share of the budget saved so far", (r"cost/saved_share",)),
        ("units spent so far", (r"cost/spent_total", r"cost/saved_against_reference_total")),
        ("interventions of the guard so far", (r"guard/interventions_total",)),
        ("losses not finite so far", (r"loss/nonfinite_total",)),
    ),
}  # fmt: skip
# What runs are compared by: scalars that each writes at its end, and what they are called.
RESULTS: dict[str, str] = {
    "result/loss_bpb": "loss, bits per byte",
    "result/loss_bits_per_label": "loss, bits per label",
    "result/accuracy": "share of answers that were right",
    "result/macro_f1": "F1, mean over classes",
    "result/spent": "cost, units",
    "result/saved_share": "share of the budget saved",
    "result/alarm_rounds": "rounds with a drift alarm",
    "result/guard_rounds": "rounds the guard intervened in",
}


def layout_summary() -> Summary:
    """The charts of the tab Custom Scalars."""
    categories = [
        layout_pb2.Category(
            title=question,
            chart=[
                layout_pb2.Chart(
                    title=title, multiline=layout_pb2.MultilineChartContent(tag=[f"^{t}$" for t in tags])
                )
                for title, tags in charts
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
        api_pb2.HParamInfo(name=name, type=kinds[str(start.hparams[name].WhichOneof("kind"))])
        for name, value in settings.items()  # in their order: the table shows the first few
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
