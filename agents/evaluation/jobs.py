"""Runs to be made, each done once: in parallel over processes, and cached by content."""

import copy
import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import Executor, Future, as_completed
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from olrl.assembly import LoopConfig
from olrl.control.decision import Base
from olrl.learners.cost import CostModel
from olrl.streams.chunk import Chunk
from olrl.streams.document import Document
from olrl.streams.drift import DriftConfig
from olrl.streams.labels import LabelChanges, change_labels
from olrl.streams.suite import SuiteConfig
from olrl.tasks import Task as TaskSpec
from olrl.tasks import chunks_of, labelled_by_source, learner_of

from ..workers.base import Workers
from ..workers.local import LocalWorkers
from .forgetting import HeldOut, held_out_for
from .play import LearnerPool, Trace

if TYPE_CHECKING:
    from ..rivals.entrant import Task

CACHE_FORMAT = 4  # goes up when a run's numbers change for another reason than its settings
LANGUAGE = TaskSpec()
TRAINING_SEED = 7  # of the streams that rivals are tuned on; never reported on


@dataclass(frozen=True, kw_only=True)
class StreamRef:
    """A stream by what it is made from: composed drift, or a SOURCE as on the command line.

    `task` is what is learned from it. Where `base` and `fixed` are given, they come in place of the model's;
    `labels` says how labels come late and wrong.
    """

    name: str
    kind: str
    drift: DriftConfig | None = None
    source: str | None = None
    task: TaskSpec = LANGUAGE
    labels: LabelChanges | None = None
    base: Base | None = None
    fixed: Base | None = None
    seq_len: int | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """One entrant on one stream from one base; everything that decides the result is in here.

    `settings` are tried in place of the tuned ones that ship, when an entrant is being tuned.
    `fingerprint` stands for what the settings do not name: corpus, weights of model and policy, versions.
    """

    entrant: str
    stream: StreamRef
    model: str
    base: Base
    fixed: Base | None
    base_lr_mult: float
    policy: str
    seed: int
    rounds: int
    chunk: int = 16
    seq_len: int = 64
    cost: CostModel = CostModel()
    price: float = 0.0
    device: str = "cpu"
    settings: tuple[tuple[str, Any], ...] | None = None
    fingerprint: str = ""

    @property
    def key(self) -> str:
        """Content address of the result."""
        text = json.dumps([CACHE_FORMAT, asdict(self)], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def run_jobs(
    jobs: list[Job],
    *,
    cache: Path,
    processes: int,
    pool: Executor | None = None,
    workers: Workers | None = None,
) -> Iterator[tuple[Job, Trace]]:
    """Results as they come, those found in the cache first; a result is in the cache before it is yielded.

    What is missing runs in `pool`, where one is given and left open, else in as many processes of the `workers`,
    this machine's unless others are given.
    """
    cache.mkdir(parents=True, exist_ok=True)
    missing: list[Job] = []
    for job in jobs:
        trace = _read(cache / f"{job.key}.json")
        if trace is None:
            missing.append(job)
        else:
            yield job, trace
    if not missing:
        return
    opened = nullcontext(pool) if pool else (workers or LocalWorkers()).pool(processes)
    with opened as executor:
        futures: dict[Future[Trace], Job] = {executor.submit(run_job, job): job for job in missing}
        try:
            for future in as_completed(futures):
                job, trace = futures[future], future.result()
                _write(cache / f"{job.key}.json", trace)
                yield job, trace
        finally:
            for future in futures:
                future.cancel()


def run_job(job: Job) -> Trace:
    """Make one run, in this process."""
    import torch

    from ..rivals.registry import ENTRANTS

    torch.set_num_threads(1)  # runs are parallel over processes
    return ENTRANTS[job.entrant].play(task_of(job))


def task_of(job: Job, *, judged: bool = True) -> "Task":
    """What a job gives its entrant; model and streams that this process has met are kept.

    With `judged=False` nothing is measured of what the learner forgets: for trials, of which the loss alone counts.
    """
    from ..rivals.entrant import Conditions, Task
    from ..rivals.tuned import tuned_settings

    config = LoopConfig(chunk=job.chunk, seq_len=job.seq_len, cost=job.cost, price=job.price, seed=job.seed)
    what = (job.stream, job.model, job.device, config, job.rounds)
    language = job.stream.task.kind == "lm"
    chunks = _chunks(*what)
    given = Conditions(
        base=job.base,
        fixed=job.fixed,
        policy=job.policy,
        rounds=max(len(chunks), 1),
        config=config,
        settings=tuned_settings(job.entrant) if job.settings is None else dict(job.settings),
    )
    training = _Training(model=job.model, device=job.device, config=config, rounds=job.rounds)
    return Task(
        given=given,
        chunks=chunks,
        learners=_pool(job.stream.task, job.model, job.device, job.seq_len),
        training=training,
        held_out=_held_out(*what) if judged and language else {},
    )


@dataclass(frozen=True, kw_only=True)
class _Training:
    """Streams of the training split, as long and cut as those that are compared on."""

    model: str
    device: str
    config: LoopConfig
    rounds: int

    def __call__(self, number: int) -> tuple[Chunk, ...]:
        """The chunks of training stream `number`."""
        from olrl.streams.corpus import load_corpus

        loaded = _loaded(self.model, self.device)
        per_round = loaded.bytes_per_round(chunk=self.config.chunk, seq_len=self.config.seq_len)
        suite = SuiteConfig.for_rounds(
            self.rounds, bytes_per_round=per_round, split="train", seed=TRAINING_SEED
        )
        drift = suite.stream(number, load_corpus())
        stream = StreamRef(name=f"drift-train-{number}", kind=drift.kind, drift=drift)
        return _chunks(stream, self.model, self.device, self.config, self.rounds)


@lru_cache(maxsize=4)
def _loaded(model: str, device: str, task: TaskSpec = LANGUAGE) -> Any:
    return task.load(model, device=device)


@lru_cache(maxsize=4)
def _pool(task: TaskSpec, model: str, device: str, seq_len: int) -> LearnerPool:
    loaded = _loaded(model, device, task)
    return LearnerPool(
        copy.deepcopy(loaded.model),  # a pool trains its own, and there is one for each length of rows
        lambda module, optimizer: learner_of(
            task, loaded, module=module, seq_len=seq_len, optimizer=optimizer
        ),
    )


@lru_cache(maxsize=8)
def _chunks(stream: StreamRef, model: str, device: str, config: LoopConfig, rounds: int) -> tuple[Chunk, ...]:
    from itertools import islice

    from olrl.streams.corpus import load_corpus
    from olrl.streams.dead_letter import DeadLetter
    from olrl.streams.drift import drift_stream
    from olrl.streams.sources import open_source

    documents: Iterator[Document]
    if stream.drift is not None:
        documents = drift_stream(stream.drift, load_corpus())
    else:
        assert stream.source is not None
        documents = open_source(
            stream.source,
            dead_letter=DeadLetter(None),
            late_labels=stream.task.kind == "classify",
            repeats=stream.task.kind == "answer",
        )
    task, loaded = stream.task, _loaded(model, device, stream.task)
    if task.kind == "classify" and (stream.drift is not None or str(stream.source).startswith("builtin:")):
        documents = labelled_by_source(documents)
    if stream.labels is not None:
        documents = change_labels(documents, stream.labels, classes=task.classes)
    chunker = task.chunker(loaded.tokenizer, chunk=config.chunk, seq_len=config.seq_len)
    return tuple(islice(chunks_of(chunker, documents, loaded), rounds))


@lru_cache(maxsize=8)
def _held_out(stream: StreamRef, model: str, device: str, config: LoopConfig, rounds: int) -> HeldOut:
    chunks = _chunks(stream, model, device, config, rounds)
    return held_out_for(chunks, tokenizer=_loaded(model, device).tokenizer, config=config)


def _read(path: Path) -> Trace | None:
    try:
        return Trace.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # never made, or half-written by a crash: it is made again


def _write(path: Path, trace: Trace) -> None:
    scratch = path.with_suffix(f".{os.getpid()}.tmp")
    scratch.write_text(json.dumps(trace.to_dict(), allow_nan=False), encoding="utf-8")
    scratch.replace(path)
