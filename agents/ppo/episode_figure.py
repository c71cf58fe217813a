"""One validation episode of a training as a figure: what the policy does as it stands."""

import numpy as np
from matplotlib.figure import Figure

from olrl.analysis.figures import figure_run
from olrl.analysis.records import RunRecords

from ..evaluation.compare import Outcome
from ..evaluation.jobs import Job
from ..evaluation.play import Trace


def episode_figure(outcome: Outcome) -> Figure:
    """The policy on the first validation stream, from the base nearest to the right one; drift marked.

    The panels are those of a deployed run, true segments and alarms included.
    """
    job, trace = min(
        ((job, trace) for job, trace in outcome.runs if job.entrant == "policy"),
        key=lambda run: (abs(np.log2(run[0].base_lr_mult)), run[0].stream.name),
    )
    return figure_run(_records(job, trace))


def _records(job: Job, trace: Trace) -> RunRecords:
    asked = {
        "controller": job.entrant,
        "model": job.model,
        "stream": job.stream.name,
        "budget": job.cost.budget,
    }
    return RunRecords(
        config={"run": asked},
        round=np.arange(len(trace.lr)),
        loss_bpb=np.array(trace.loss_bpb),
        lr=np.array(trace.lr),
        batch_size=np.array(trace.batch_size, dtype=np.float64),
        window=np.array(trace.window),
        update=np.array(trace.update),
        updates=np.array(trace.updates),
        spent=np.array(trace.spent),
        n_bytes=np.array(trace.n_bytes, dtype=np.float64),
        source=list(trace.source),
        segment=np.array(trace.segment),
        metric=np.full(len(trace.lr), np.nan),  # of classifiers alone
        guard={k: reason for k, reason in enumerate(trace.guard) if reason is not None},
        drift={k: list(names) for k, names in enumerate(trace.alarms) if names},
    )
