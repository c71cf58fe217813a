"""A comparison in TensorBoard: one run per entrant and stream, so that their losses lie over each other."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from olrl.alarm_spikes import AlarmSpikes
from olrl.control.decision import WINDOWS, Base
from olrl.tracking import EventWriter

from .compare import Outcome
from .entrants import ENTRANTS
from .jobs import Job
from .play import Trace

EMA_ROUNDS = 10


def write_events(outcome: Outcome, folder: Path) -> None:
    """Events of all runs, `folder/STREAM/ENTRANT`; what the keys mean stands in docs/metrics.md."""
    references = {
        (job.stream.name, job.seed): trace for job, trace in outcome.runs if _is_reference(job, outcome.base)
    }
    for job, trace in outcome.runs:
        reference = references.get((job.stream.name, job.seed))
        writer = EventWriter(folder / _plain(job.stream.name) / _name(job, outcome))
        writer.layout({"loss"} if reference is None else {"loss", "reference"})
        writer.settings(_settings(job))
        _write(writer, trace, base_lr=job.base.lr, reference=reference)
        writer.results(_results(job, trace), step=max(len(trace.loss_bpb) - 1, 0))
        writer.close()


def write_summary(folder: Path, report: str, figures: Sequence[Path]) -> None:
    """The comparison as a whole: its report (without links to files) and its figures (tabs Text and Images)."""
    writer = EventWriter(folder)
    told = "\n".join(line for line in report.splitlines() if not line.startswith("!["))
    writer.text("comparison", told, step=0)
    for figure in figures:
        writer.image(f"figures/{figure.stem}", figure.read_bytes(), step=0)
    writer.close()


def _settings(job: Job) -> dict[str, Any]:
    """What runs of a comparison differ in."""
    return {
        "controller": job.entrant,
        "policy": job.policy if ENTRANTS[job.entrant].policy is not None else "none",
        "stream": job.stream.name,
        "drift_kind": job.stream.kind,
        "model": job.model,
        "base.lr": job.base.lr,
        "base_lr_mult": job.base_lr_mult,
        "seed": job.seed,
        "price": job.price,
    }


def _results(job: Job, trace: Trace) -> dict[str, float]:
    return {
        "result/loss_bpb": trace.mean_loss_bpb,
        "result/spent": trace.total_spent,
        "result/saved_share": 1.0 - trace.total_spent / (job.cost.budget * max(len(trace.loss_bpb), 1)),
        "result/alarm_rounds": float(sum(1 for alarms in trace.alarms if alarms)),
        "result/guard_rounds": float(sum(1 for reason in trace.guard if reason is not None)),
    }


def _plain(stream: str) -> str:
    """A folder's name of a stream's: a SOURCE may be a path, which would lead out of the run folder."""
    dashed = "".join(c if c.isalnum() else "-" for c in stream).strip("-")
    return dashed[-60:] or "stream"


def _is_reference(job: Job, base: Base) -> bool:
    """Whether the run is the base configuration as it was given: what the others' losses are held against."""
    return job.entrant == "base" and job.base == base


def _name(job: Job, outcome: Outcome) -> str:
    several = ENTRANTS[job.entrant].policy == "given" and len(outcome.config.policies) > 1
    policy = f"-policy{outcome.policy_seeds[job.policy]}" if several else ""
    base = f"-base-x{job.base_lr_mult:g}" if ENTRANTS[job.entrant].uses_base else ""
    return f"{job.entrant}{policy}{base}" + (f"-seed{job.seed}" if job.seed else "")


def _write(writer: EventWriter, trace: Trace, *, base_lr: float, reference: Trace | None) -> None:
    ema = reference_ema = 0.0
    spent = unspent = 0.0
    alarms = interventions = skipped = 0
    spikes = AlarmSpikes()
    for k, loss in enumerate(trace.loss_bpb):
        weight = max(1.0 / EMA_ROUNDS, 1.0 / (k + 1))
        ema += weight * (loss - ema)
        spent += trace.spent[k]
        alarms += len(trace.alarms[k])
        interventions += trace.guard[k] is not None
        skipped += not trace.update[k]
        values: dict[str, float] = {
            "loss/bpb": loss,
            "loss/bpb_ema": ema,
            "decision/lr": trace.lr[k],
            "decision/batch_size": trace.batch_size[k],
            "decision/window_place": WINDOWS.index(trace.window[k]),
            "decision/update": float(trace.update[k]),
            "decision/skipped_total": skipped,
            "cost/spent_total": spent,
            "drift/total": alarms,
            "guard/interventions_total": interventions,
        }
        if trace.lr[k] > 0:
            values["decision/lr_notches"] = math.log2(trace.lr[k] / base_lr)
        for at, points in spikes.points(trace.alarms[k], step=k):
            writer.scalars(points, step=at)
        if reference is not None:
            reference_ema += weight * (reference.loss_bpb[k] - reference_ema)
            unspent += reference.spent[k] - trace.spent[k]
            values |= {
                "loss/reference_bpb_ema": reference_ema,
                "loss/saved_bpb_ema": reference_ema - ema,
                "cost/saved_against_reference_total": unspent,
            }
        writer.scalars(values, step=k)
    last = max(len(trace.loss_bpb) - 1, 0)
    writer.scalars(spikes.end(step=last), step=last)
