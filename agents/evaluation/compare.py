"""Entrants side by side on the same tokens: which runs are made, and one row for each."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from olrl.control.decision import Base
from olrl.learners.cost import CostModel
from olrl.models.load import LoadedModel, load_model
from olrl.run_config import read_base
from olrl.streams.pieces import Split

from ..fingerprint import PACKAGES, fingerprint, model_place, policy_place
from ..workers.base import Workers
from ..workers.local import LocalWorkers
from .entrant_places import entrant_places
from .entrants import ENTRANTS, build_controller, check_names, policy_seed, tuning_examples
from .given import check_task, given_stream, given_task, reads_corpus
from .jobs import Job, StreamRef, run_jobs
from .play import Trace
from .suites import SUITES, Wanted, streams_of


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """What to compare on what; see `olrl compare --help` for meanings and units.

    Either `suite` (with `streams` of its streams of the given split) or `stream`, a SOURCE of which `task` says
    what is learned, and `classes` which labels there are (none: those that are found in it). Classifiers, those of
    a suite too, have `text_features` beside the embedding (`olrl run --text-features`). `policies` are
    policy folders; entrants made from a policy run once with each. `settings` are (entrant, name, value), in
    place of all tuned settings of that entrant. `base_from` is the folder of an `olrl search`, whose best
    configuration comes before what the model or the task ships.
    """

    controllers: tuple[str, ...] = ("never", "base", "hypergradient", "drift-reset", "policy")
    suite: str = "drift"
    stream: str | None = None
    task: str = "lm"
    classes: tuple[str, ...] = ()
    text_features: int = 0
    split: Split = "test"
    streams: int = 5
    seeds: int = 1
    model: str = "nano"
    policies: tuple[str, ...] = ("default",)
    settings: tuple[tuple[str, str, Any], ...] = ()
    base_lr: float | None = None
    base_batch: int | None = None
    base_window: int | None = None
    base_from: str | None = None
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
        check_task(
            self.task,
            classes=self.classes,
            text_features=self.text_features,
            classifies=self.task == "classify" or (self.stream is None and self.suite == "scenarios"),
        )
        if self.task != "lm" and self.stream is None:
            raise ValueError(
                f"task {self.task!r} has no effect on a suite, whose streams have their own: give --stream"
            )
        if not (math.isfinite(self.price) and self.price >= 0):
            raise ValueError(f"price must be at least 0, not {self.price!r}")
        if not self.policies or len(set(self.policies)) < len(self.policies):
            raise ValueError(f"policies must be different folders, at least one, not {list(self.policies)!r}")
        for name in ("streams", "seeds", "rounds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)!r}")
        if any(not mult > 0 for mult in self.base_lr_mult) or not self.base_lr_mult:
            raise ValueError(f"base-lr-mult takes positive factors, not {list(self.base_lr_mult)!r}")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Every run of a comparison with its trace, and what is needed to tell what was compared.

    `policy_seeds` holds the training seed of each policy folder, None where it is unknown.
    """

    config: CompareConfig
    base: Base
    runs: tuple[tuple[Job, Trace], ...]
    policy_seeds: dict[str, int | None]
    versions: dict[str, str]
    corpus_sha256: str | None

    def rows(self) -> list[dict[str, Any]]:
        """The `runs` of results.json, in a fixed order."""
        suite = self.config.suite if self.config.stream is None else None
        return [_row(job, trace, suite, self._policy_seed(job)) for job, trace in self.runs]

    def _policy_seed(self, job: Job) -> int | None:
        if ENTRANTS[job.entrant].policy == "given":
            return self.policy_seeds[job.policy]
        return policy_seed(job.entrant, job.policy)


def compare(
    config: CompareConfig,
    *,
    cache: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
    workers: Workers | None = None,
) -> Outcome:
    """Make all runs (those cached are read); `progress` is told how many are done of how many.

    The `workers` are this machine's cores unless others are given; they change nothing but timings.
    """
    model = load_model(config.model, device=config.device)
    base = base_of(config, model)
    for name in config.controllers:  # a mistake shows before anything is run
        for policy in _policies(name, config):
            build_controller(name, base=base, fixed=model.fixed, policy=policy, price=config.price)
    seeds = _policy_seeds(config)
    versions = {name: version(name) for name in PACKAGES}
    jobs = plan_jobs(config, model, base)
    done: dict[str, Trace] = {}
    progress(0, len(jobs))
    workers = workers or LocalWorkers()
    for job, trace in run_jobs(
        jobs, cache=cache, processes=config.processes or workers.count, workers=workers
    ):
        done[job.key] = trace
        progress(len(done), len(jobs))
    return Outcome(
        config=config,
        base=base,
        runs=tuple((job, done[job.key]) for job in jobs),
        policy_seeds=seeds,
        versions=versions,
        corpus_sha256=corpus_of(config),
    )


def base_of(config: CompareConfig, model: LoadedModel) -> Base:
    """The base configuration: the model's own where it ships one, changed by what the options say."""
    if model.base is None and config.base_lr is None and config.base_from is None:
        raise ValueError(
            f"model {config.model!r} ships no base configuration: give its learning rate with --base-lr, or "
            f"with --base-from what an olrl search has found"
        )
    return _changed(model.base or Base(lr=config.base_lr or 1.0), config)


def _changed(base: Base, config: CompareConfig) -> Base:
    """A base with what the options say in its place."""
    if config.base_from is not None:
        base = read_base(Path(config.base_from))
    return replace(
        base,
        lr=base.lr if config.base_lr is None else config.base_lr,
        batch_size=base.batch_size if config.base_batch is None else config.base_batch,
        window=base.window if config.base_window is None else config.base_window,
    )


def plan_jobs(config: CompareConfig, model: LoadedModel, base: Base) -> list[Job]:
    """One job per entrant, policy, stream, seed and base, without repeats for entrants that use no base."""
    seq_len = config.seq_len or model.seq_len
    per_round = model.bytes_per_round(chunk=config.chunk, seq_len=seq_len)
    streams = _streams(config, bytes_per_round=per_round)
    return [
        Job(
            entrant=name,
            stream=stream,
            model=config.model,
            base=_times(base if stream.base is None else _changed(stream.base, config), mult),
            fixed=stream.fixed or (model.fixed if stream.task.kind == "lm" else None),
            base_lr_mult=mult,
            policy=policy,
            seed=config.seed + k,
            rounds=config.rounds,
            chunk=config.chunk,
            seq_len=stream.seq_len or seq_len,
            cost=config.cost,
            price=config.price,
            device=config.device,
            settings=_settings(name, config),
            fingerprint=mark,
        )
        for name in config.controllers
        for policy in _policies(name, config)
        for mark in [_fingerprint(name, policy, config)]
        for stream in streams
        for mult in (config.base_lr_mult if ENTRANTS[name].uses_base else (1.0,))
        for k in range(config.seeds)
    ]


def _times(base: Base, mult: float) -> Base:
    return replace(base, lr=base.lr * mult)


def _settings(name: str, config: CompareConfig) -> tuple[tuple[str, Any], ...] | None:
    return tuple((key, value) for entrant, key, value in config.settings if entrant == name) or None


def _policies(name: str, config: CompareConfig) -> tuple[str, ...]:
    """The policies that an entrant is run with; for one that knows none, a name that changes no cached result."""
    made_from = ENTRANTS[name].policy
    if made_from == "given":
        return config.policies
    return config.policies[:1] if made_from == "shape" else ("default",)


def _policy_seeds(config: CompareConfig) -> dict[str, int | None]:
    """The training seed of each policy; ValueError where results of two could not be told apart."""
    if not any(ENTRANTS[name].policy == "given" for name in config.controllers):
        return {}
    seeds = {policy: policy_seed("policy", policy) for policy in config.policies}
    seed, count = Counter(seeds.values()).most_common(1)[0]
    if count > 1:
        twins = [policy for policy in seeds if seeds[policy] == seed]
        raise ValueError(
            f"policies {twins[0]} and {twins[1]} have the same training seed, {seed}: give policies that were "
            "trained with different ones, since results are told apart by it"
        )
    return seeds


def _streams(config: CompareConfig, *, bytes_per_round: int) -> list[StreamRef]:
    if config.stream is not None:
        return [_given(config, config.stream)]
    wanted = Wanted(
        streams=config.streams,
        rounds=config.rounds,
        bytes_per_round=bytes_per_round,
        split=config.split,
        seed=config.seed,
    )
    return [_with_text(stream, config.text_features) for stream in streams_of(config.suite, wanted)]


def _with_text(stream: StreamRef, text_features: int) -> StreamRef:
    """The stream, with so many text features if it is classified."""
    if not text_features or stream.task.kind != "classify":
        return stream
    return replace(stream, task=replace(stream.task, text_features=text_features))


def _given(config: CompareConfig, stream: str) -> StreamRef:
    """The user's own stream, with what is to be learned of it."""
    task = given_task(stream, config.task, classes=config.classes, text_features=config.text_features)
    return given_stream(stream, task, seq_len=config.seq_len)


def _row(job: Job, trace: Trace, suite: str | None, policy_seed: int | None) -> dict[str, Any]:
    return {
        "suite": suite,
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
        "metric": trace.accuracy,
        "spent": trace.total_spent,
        "signal_examples": trace.signal_examples,
        "tuning_examples": tuning_examples(job.entrant, model=job.model) + trace.trial_examples,
        "updates": sum(trace.updates),
        "seconds": trace.seconds,
        "diverged": trace.diverged,
        **({"loss_unit": trace.loss_unit, "macro_f1": trace.macro_f1} if trace.loss_unit != "byte" else {}),
    }


def corpus_of(config: CompareConfig) -> str | None:
    """The hash of the builtin corpus, None for a comparison that reads none of it."""
    if not _reads_corpus(config):
        return None
    from olrl.streams.corpus import corpus_sha256

    return corpus_sha256()


def _reads_corpus(config: CompareConfig) -> bool:
    return config.stream is None or reads_corpus(config.stream, config.task)


def _fingerprint(name: str, policy: str, config: CompareConfig) -> str:
    """What decides an entrant's runs beside the job's own fields: code, weights, its settings, the stream."""
    places = [*entrant_places(name), model_place(config.model)]
    if ENTRANTS[name].policy is not None:
        places.append(policy_place(policy))
    return fingerprint(places, builtin=_reads_corpus(config), stream=config.stream)
