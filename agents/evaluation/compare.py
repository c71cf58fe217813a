"""Entrants side by side on the same tokens: runs, table, results.json, figures."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from olrl.control.decision import Base
from olrl.learners.cost import CostModel
from olrl.models.load import LoadedModel, load_model
from olrl.streams.pieces import Split

from ..warm_processes import usable_cores
from .entrants import ENTRANTS, TUNED, build_controller, check_names, policy_seed, tuning_examples
from .fingerprint import PACKAGES, fingerprint, model_place, policy_place
from .jobs import Job, StreamRef, run_jobs
from .play import Trace

SUITES = ("drift",)


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """What to compare on what; see `olrl compare --help` for meanings and units.

    Either `suite` (with `streams` of its streams of the given split) or `stream`, a SOURCE.
    """

    controllers: tuple[str, ...] = ("never", "base", "hypergradient", "drift-reset", "policy")
    suite: str = "drift"
    stream: str | None = None
    split: Split = "test"
    streams: int = 5
    seeds: int = 1
    model: str = "nano"
    policy: str = "default"
    base_lr: float | None = None
    base_batch: int | None = None
    base_window: int | None = None
    base_lr_mult: tuple[float, ...] = (0.125, 1.0, 8.0)
    rounds: int = 150
    cost: CostModel = CostModel()
    price: float = 0.0
    chunk: int = 16
    seq_len: int | None = None
    seed: int = 0
    device: str = "cpu"
    processes: int | None = None

    def __post_init__(self) -> None:
        check_names(list(self.controllers))
        if self.stream == "-":
            raise ValueError("every entrant reads the stream anew, and standard input cannot be: give a file")
        if self.stream is None and self.suite not in SUITES:
            raise ValueError(f"unknown suite {self.suite!r}; choose from {', '.join(SUITES)}")
        if not (math.isfinite(self.price) and self.price >= 0):
            raise ValueError(f"price must be at least 0, not {self.price!r}")
        for name in ("streams", "seeds", "rounds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)!r}")
        if any(not mult > 0 for mult in self.base_lr_mult) or not self.base_lr_mult:
            raise ValueError(f"base-lr-mult takes positive factors, not {list(self.base_lr_mult)!r}")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Every run of a comparison with its trace, and what is needed to tell what was compared."""

    config: CompareConfig
    base: Base
    runs: tuple[tuple[Job, Trace], ...]
    policy_seeds: dict[str, int | None]
    versions: dict[str, str]
    corpus_sha256: str | None

    def rows(self) -> list[dict[str, Any]]:
        """The `runs` of results.json, in a fixed order."""
        return [_row(job, trace, self.policy_seeds[job.entrant]) for job, trace in self.runs]


def compare(
    config: CompareConfig, *, cache: Path, progress: Callable[[int, int], None] = lambda done, total: None
) -> Outcome:
    """Make all runs (those cached are read); `progress` is told how many are done of how many."""
    model = load_model(config.model, device=config.device)
    base = base_of(config, model)
    for name in config.controllers:  # a mistake shows before anything is run
        build_controller(name, base=base, fixed=model.fixed, policy=config.policy, price=config.price)
    corpus_sha = _corpus_sha(config)
    versions = {name: version(name) for name in PACKAGES}
    jobs = plan_jobs(config, model, base, fingerprint=_fingerprint(config))
    done: dict[str, Trace] = {}
    progress(0, len(jobs))
    for job, trace in run_jobs(jobs, cache=cache, processes=config.processes or usable_cores()):
        done[job.key] = trace
        progress(len(done), len(jobs))
    return Outcome(
        config=config,
        base=base,
        runs=tuple((job, done[job.key]) for job in jobs),
        policy_seeds={name: policy_seed(name, config.policy) for name in config.controllers},
        versions=versions,
        corpus_sha256=corpus_sha,
    )


def base_of(config: CompareConfig, model: LoadedModel) -> Base:
    """The base configuration: the model's own where it ships one, changed by what the options say."""
    if model.base is None and config.base_lr is None:
        raise ValueError(
            f"model {config.model!r} ships no base configuration: give its learning rate with --base-lr"
        )
    base = model.base or Base(lr=config.base_lr or 1.0)
    return replace(
        base,
        lr=base.lr if config.base_lr is None else config.base_lr,
        batch_size=base.batch_size if config.base_batch is None else config.base_batch,
        window=base.window if config.base_window is None else config.base_window,
    )


def plan_jobs(config: CompareConfig, model: LoadedModel, base: Base, *, fingerprint: str) -> list[Job]:
    """One job per entrant, stream, seed and base, without repeats for entrants that use no base."""
    seq_len = config.seq_len or model.seq_len
    jobs: list[Job] = []
    per_round = model.bytes_per_round(chunk=config.chunk, seq_len=seq_len)
    for stream in _streams(config, bytes_per_round=per_round):
        for name in config.controllers:
            mults = config.base_lr_mult if ENTRANTS[name].uses_base else (1.0,)
            for mult in mults:
                for k in range(config.seeds):
                    jobs.append(
                        Job(
                            entrant=name,
                            stream=stream,
                            model=config.model,
                            base=replace(base, lr=base.lr * mult),
                            fixed=model.fixed,
                            base_lr_mult=mult,
                            policy=config.policy,
                            seed=config.seed + k,
                            rounds=config.rounds,
                            chunk=config.chunk,
                            seq_len=seq_len,
                            cost=config.cost,
                            price=config.price,
                            device=config.device,
                            fingerprint=fingerprint,
                        )
                    )
    return jobs


def _streams(config: CompareConfig, *, bytes_per_round: int) -> list[StreamRef]:
    if config.stream is not None:
        return [StreamRef(name=config.stream, kind="given", source=config.stream)]
    from olrl.streams.corpus import load_corpus
    from olrl.streams.suite import SuiteConfig

    corpus = load_corpus()
    suite = SuiteConfig.for_rounds(
        config.rounds, bytes_per_round=bytes_per_round, split=config.split, seed=config.seed
    )
    drifts = [suite.stream(k, corpus) for k in range(config.streams)]
    return [
        StreamRef(name=f"{config.suite}-{config.split}-{k}", kind=drift.kind, drift=drift)
        for k, drift in enumerate(drifts)
    ]


def _row(job: Job, trace: Trace, policy_seed: int | None) -> dict[str, Any]:
    drift = job.stream.drift
    return {
        "suite": None if drift is None else "drift",
        "stream": job.stream.name,
        "drift_kind": job.stream.kind,
        "model": job.model,
        "controller": job.entrant,
        "policy_seed": policy_seed,
        "seed": job.seed,
        "base_lr_mult": job.base_lr_mult,
        "price": job.price,
        "rounds": len(trace.loss_bpb),
        "loss_bpb": trace.mean_loss_bpb,
        "metric": None,
        "spent": sum(trace.spent),
        "signal_examples": trace.signal_examples,
        "tuning_examples": tuning_examples(job.entrant, model=job.model),
        "updates": sum(trace.updates),
        "seconds": trace.seconds,
        "diverged": trace.diverged,
    }


def summarise(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean over streams and seeds for each controller and base multiplier, in the order they came.

    Entrants that use no base appear once, with `base_lr_mult` null.
    """
    groups: dict[tuple[str, float | None], list[dict[str, Any]]] = {}
    for row in rows:
        mult = row["base_lr_mult"] if ENTRANTS[row["controller"]].uses_base else None
        groups.setdefault((row["controller"], mult), []).append(row)
    return [
        {
            "controller": controller,
            "base_lr_mult": mult,
            "loss_bpb": sum(row["loss_bpb"] for row in members) / len(members),
            "spent": sum(row["spent"] for row in members) / len(members),
            "updates": sum(row["updates"] for row in members) / len(members),
            "diverged": sum(row["diverged"] for row in members),
            "runs": len(members),
        }
        for (controller, mult), members in groups.items()
    ]


def write_results(outcome: Outcome, path: Path) -> None:
    """results.json: every run, their summary, versions and the corpus the streams came from."""
    rows = outcome.rows()
    results = {
        "runs": rows,
        "summary": summarise(rows),
        "versions": outcome.versions,
        "corpus_sha256": outcome.corpus_sha256,
    }
    path.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _corpus_sha(config: CompareConfig) -> str | None:
    if config.stream is not None and not config.stream.startswith("builtin:"):
        return None
    from olrl.streams.corpus import corpus_sha256

    return corpus_sha256()


def _fingerprint(config: CompareConfig) -> str:
    """What decides the runs beside the job's own fields: code, weights, policies, tuned settings, the stream."""
    places = [TUNED, policy_place("default"), policy_place(config.policy), model_place(config.model)]
    if config.stream is not None:
        places.append(Path(config.stream))
    return fingerprint(places, builtin=config.stream is None or config.stream.startswith("builtin:"))
