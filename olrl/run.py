"""A deployed run: a model learns online from a stream, under a controller behind a guard."""

import hashlib
import json
import operator
import platform
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from olrl.analysis.overview import read_overview
from olrl.analysis.policy_figure import policy_picture
from olrl.analysis.records import RunRecords
from olrl.analysis.report import sentence, write_report
from olrl.analysis.summary import Summary
from olrl.assembly import LoopConfig, assemble_loop
from olrl.checkpoint import Checkpoint, disk_errors, replace_synced, sync_folder, sync_tree
from olrl.control.controller import Controller
from olrl.control.decision import Base, Decision
from olrl.control.guard import Budgets, Guard, GuardSettings
from olrl.control.policy import load_policy
from olrl.control.policy_controller import PolicyController
from olrl.control.rate_only import RateOnly
from olrl.control.registry import make_controller
from olrl.deployment import Deployment, Outcome
from olrl.explanations import ExplanationLog
from olrl.folder_lock import FolderLock
from olrl.interrupt import Interrupt
from olrl.learners.averaged_predictions import AveragedPredictions
from olrl.learners.causal_lm import CausalLMLearner
from olrl.learners.learner import Learner
from olrl.learners.led import Leader
from olrl.learners.poisson import PoissonSampling
from olrl.learners.privacy import WITHHELD, Guarantee
from olrl.learners.private_lm import PrivateLMLearner
from olrl.loop import OnlineLoop, RoundRecord
from olrl.models.load import LoadedModel
from olrl.run_config import DEFAULT_POLICY, PROPOSES_NOTHING, RunConfig
from olrl.run_folder import JsonLines, RunFolder, default_path, disk_mistakes
from olrl.run_state import RunCheckpoints, RunParts, begin_anew, go_back, run_checkpoints
from olrl.same_run import check_same, differences
from olrl.several import Team, load_part, put_together, team
from olrl.shadow_switch import ShadowSwitch
from olrl.streams.chunk import Chunk
from olrl.streams.chunker import Chunker
from olrl.streams.corpus import corpus_sha256
from olrl.streams.dead_letter import DeadLetter
from olrl.streams.document import Document
from olrl.streams.labelled import LabelledChunker
from olrl.streams.source import Source
from olrl.streams.sources import open_source
from olrl.tasks import (
    AnyChunker,
    Loaded,
    Task,
    check_rows,
    chunks_of,
    find_classes,
    labelled_by_source,
    learner_of,
)
from olrl.tracking import TensorBoardTracker

PACKAGES = ("olrl", "numpy", "torch", "transformers", "tokenizers", "river", "safetensors")
_NO_STATE = (LookupError, TypeError, AttributeError, ArithmeticError)  # what a state of another kind does
STOP_LOOK_S = 0.2
SIGNAL_POINTS = 2000  # TensorBoard's reader keeps 1,000 points a tag: more than twice that are not written


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run left: its folder, its totals, why it ended, whether its model was saved.

    `records` holds its rounds, of more than 4,096 those that the figure shows.
    `interrupted` is the signal that ended it (2 for Ctrl-C), None if none did.
    """

    folder: RunFolder
    records: RunRecords
    summary: Summary
    model_saved: bool
    interrupted: int | None


def run(
    config: RunConfig,
    *,
    on_round: Callable[[RoundRecord], None] | None = None,
    say: Callable[[str], None] = lambda sentence: None,
) -> RunResult:
    """Run to the stream's end, to the last of the rounds asked for, to a file `STOP` or to Ctrl-C.

    While a file `SHADOW` lies in the run's folder, the base is in force (see `olrl.shadow_switch`).
    `on_round` is called after each round. Everything is left in a folder (see `olrl.run_folder`); the same
    configuration on the same text gives the same `decisions.jsonl`, byte for byte, on one machine, and so it does
    when the run is ended by whatever means and gone on with (`resume`). `say` is told what a person should know of
    that. Raises ValueError in one sentence for whatever the caller can put right, and leaves no new folder then.
    """
    with team(config) as found:
        return _run(config, found, on_round, say)


def _run(
    config: RunConfig,
    found: Team | None,
    on_round: Callable[[RoundRecord], None] | None,
    say: Callable[[str], None],
) -> RunResult:
    """As `run`, by this process alone or as the first of those that have been found."""
    if found is not None:
        say(f"the model is spread over {found.ranks.size} processes")
    task = _task(config)
    loaded = _load_model(config, found, task)
    base = config.base(loaded.base, model=config.model)
    controller, policy = _controller(config, base)
    guarantee = _guarantee(config, base)
    out = config.out or default_path("run", f"{config.controller} {config.stream}")
    _check_apart(out, config.stream)
    with disk_mistakes(out, "run"), ExitStack() as stack:  # closing files may find the disk full too
        folder = _claim(config, out, stack)
        interrupt = stack.enter_context(Interrupt())
        description = _describe(config, base, loaded, policy, guarantee, found, task)
        checkpoint = _newest(folder, description, say) if config.resume else None
        state: dict[str, Any] = {} if checkpoint is None else checkpoint.state
        dead_letter = stack.enter_context(DeadLetter(folder.dead_letter, keep_text=config.keep_rejected))
        chunker = _chunker(config, loaded, task, dead_letter)
        in_shadow = ShadowSwitch(
            folder, always=config.shadow, possible=config.controller not in PROPOSES_NOTHING
        )
        try:
            if not config.resume:
                folder.write_config(description)
            with interrupt.immediate():
                source = _open_source(config, folder, dead_letter, interrupt, state)
                if (
                    config.resume
                ):  # not before the stream may have been refused, nor after a row of it is read
                    _cut_back(folder, checkpoint, description, say)
                documents = labelled_by_source(source) if _by_source(config) else source
                if task.kind == "lm" and not config.stream.startswith("builtin:"):  # whose labels are domains
                    documents = _labels_told(documents, say)
                chunks = chunks_of(chunker, documents, loaded)
                chunks = chunks if state else _at_least_one(chunks, chunker, dead_letter)
        except BaseException:
            if not (config.resume or folder.has_spooled):
                folder.discard()
            raise
        if (untrained := _not_trained_on(config, controller)) is not None:
            say(untrained)
        learner = _learner(config, loaded, base, guarantee, found, interrupt, task)
        parts = RunParts(
            deployment=Deployment(
                _loop(config, _loop_config(config, loaded), chunks, learner, base, guarantee),
                controller=controller if guarantee is None else RateOnly(controller),
                guard=_guard(config, base, controller),
                interrupt=interrupt,
                budgets=Budgets(config.limits),
                in_force=base.decision(),
                in_shadow=in_shadow,
                limit=config.rounds,
                stop=lambda: folder.stop_requested,
                loss_withheld=guarantee is not None,
            ),
            source=source,
            chunker=chunker,
            dead_letter=dead_letter,
            tracker=stack.enter_context(
                TensorBoardTracker(
                    folder.path,
                    signals_every=_signals_every(config),
                    withheld=frozenset() if guarantee is None else WITHHELD,
                )
            ),
            decisions=stack.enter_context(closing(JsonLines(folder.decisions, resume=bool(state)))),
            stream=stack.enter_context(closing(JsonLines(folder.stream, resume=bool(state)))),
            explanations=stack.enter_context(closing(ExplanationLog(folder.explanations, controller))),
        )
        if state:
            _put_back(parts, state, folder, task, loaded)
        else:
            parts.tracker.config(description)
            if isinstance(controller, PolicyController):
                parts.tracker.policy(policy_picture(controller.policy, price=config.price))
        checkpoints = RunCheckpoints(
            folder, parts, every=config.checkpoint_every, before=float(state.get("seconds", 0.0))
        )
        outcomes = parts.deployment.rounds()
        _play(_going_on(outcomes, folder) if state else outcomes, parts, checkpoints, on_round)
        _write_ending(folder, parts.deployment.ended, dead_letter, seconds=checkpoints.seconds)
        overview = read_overview(folder)
        write_report(folder, overview)
        parts.tracker.finish(
            step=overview.summary.rounds - 1,
            summary=sentence(overview.summary),
            figures={path.stem: path.read_bytes() for path in sorted(folder.figures.glob("*.png"))},
            results=overview.summary.results(),
        )
        return RunResult(
            folder=folder,
            records=overview.kept,
            summary=overview.summary,
            model_saved=_save_model(
                put_together(config, learner) if isinstance(learner, Leader) else loaded, folder
            ),
            interrupted=interrupt.requested,
        )


def _task(config: RunConfig) -> Task:
    if config.task == "classify":
        classes = config.class_names or find_classes(config.stream, follow=config.follow)
        frozen = config.encoder != "learning"
        return Task(kind="classify", classes=classes, frozen=frozen, text_features=config.text_features)
    return Task(kind="answer" if config.task == "answer" else "lm")


def _by_source(config: RunConfig) -> bool:
    """Whether documents are labelled by where they come from: builtin text has no labels of its own."""
    return config.task == "classify" and config.stream.startswith("builtin:")


def _labels_told(documents: Iterable[Document], say: Callable[[str], None]) -> Iterator[Document]:
    """The documents; the first of them that has a label is told of, since nobody asked to learn it."""
    told = False
    for document in documents:
        if document.label is not None and not told:
            told = True
            say(
                "rows of the stream have labels, which are not learned: --task classify or --task answer does"
            )
        yield document


def _load_model(config: RunConfig, found: Team | None, task: Task) -> Loaded:
    loaded = (
        task.load(config.model, device=config.device, dtype=config.dtype, lora=config.lora)
        if found is None
        else load_part(config)
    )
    longest = loaded.longest
    if longest is not None and (config.seq_len or 1) > longest:
        raise ValueError(
            f"seq_len {config.seq_len} is beyond the {longest} positions of model {config.model!r}"
        )
    return loaded


def _loop_config(config: RunConfig, loaded: Loaded) -> LoopConfig:
    return LoopConfig(
        chunk=config.chunk,
        seq_len=config.seq_len or loaded.seq_len,
        cost=config.cost,
        price=config.price,
        seed=config.seed,
    )


def _guarantee(config: RunConfig, base: Base) -> Guarantee | None:
    if config.privacy is None:
        return None
    return Guarantee.of(config.privacy, base=base, chunk=config.chunk, cost=config.cost)


def _learner(
    config: RunConfig,
    loaded: Loaded,
    base: Base,
    guarantee: Guarantee | None,
    found: Team | None,
    interrupt: Interrupt,
    task: Task,
) -> Learner:
    """The model as a learner: over several processes, with a guarantee one that adds noise, or a plain one."""
    if task.kind != "lm":
        seq_len = _loop_config(config, loaded).seq_len
        return learner_of(task, loaded, seq_len=seq_len, optimizer=config.optimizer_config)
    assert isinstance(loaded, LoadedModel)
    if found is not None:
        return found.leader(loaded, interrupt.held)
    if guarantee is not None:
        return PrivateLMLearner(
            loaded.model,
            noise=guarantee.noise,
            clip=guarantee.clip,
            expected=base.batch_size,
            optimizer=config.optimizer_config,
        )
    learner = CausalLMLearner(loaded.model, optimizer=config.optimizer_config)
    if not config.draws:
        return learner
    return AveragedPredictions(learner, passes=config.draws, seed=config.seed)


def _loop(
    config: RunConfig,
    loop: LoopConfig,
    chunks: Iterator[Chunk],
    learner: Learner,
    base: Base,
    guarantee: Guarantee | None,
) -> OnlineLoop:
    """The loop; with a guarantee one that draws its batches so, and withholds signals."""
    if guarantee is None:
        return assemble_loop(chunks, learner, base=base, config=loop)
    sampling = PoissonSampling(rate=guarantee.sample_rate, updates=config.cost.updates(base.batch_size))
    loop = replace(loop, masked=WITHHELD, probes=0)
    return assemble_loop(chunks, learner, base=base, config=loop, sampling=sampling)


def _controller(config: RunConfig, base: Base) -> tuple[Controller, dict[str, Any] | None]:
    """The controller asked for, and what is known of its policy if it has one."""
    if config.controller != "policy":
        return make_controller(config.controller, base=base), None
    name = config.policy or DEFAULT_POLICY
    policy = load_policy(name)
    return policy.controller(base=base), {"name": name, "sha256": policy.sha256()}


def _guard(config: RunConfig, base: Base, controller: Controller) -> Guard:
    return Guard(
        base=base,
        settings=GuardSettings(snapshots=config.snapshots),
        training_range=controller.training_range,
        task=_known_task(config),
    )


def _known_task(config: RunConfig) -> str | None:
    """The task as policies know it: of labels they were trained on heads that learn alone."""
    return config.task if config.encoder != "learning" and not config.text_features else None


def _not_trained_on(config: RunConfig, controller: Controller) -> str | None:
    """What a person should know where a policy's training did not have the task at hand."""
    seen = controller.training_range
    if seen is None or seen.covers(_known_task(config)):
        return None
    return (
        f"the policy was trained on the tasks {' and '.join(seen.tasks)}, not on what this run learns, where it "
        "may do worse than the base: run --controller base beside it, or look at it with --shadow"
    )


def _check_apart(out: Path, stream: str) -> None:
    """A run that wrote into the folder it reads would read its own files in the next one."""
    source = Path(stream)
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise ValueError(f"the run would write into its own stream {stream}: give an --out outside of it")


def _claim(config: RunConfig, out: Path, stack: ExitStack) -> RunFolder:
    """The run's folder, held against other runs; a new one, or with `resume` the one to go on in."""
    if config.resume:
        folder = RunFolder.open(out)
    elif not out.is_dir():
        folder = RunFolder.create(out)
    stack.enter_context(FolderLock(out))  # before a look inside, since another run may just be filling it
    return folder if config.resume else RunFolder.create(out)


def _newest(folder: RunFolder, description: dict[str, Any], say: Callable[[str], None]) -> Checkpoint | None:
    """A run's newest checkpoint, None if it never came to one; ValueError if it cannot be gone on with."""
    begun = folder.read_config()
    check_same(begun, description, out=folder.path)
    checkpoint = run_checkpoints(folder).newest(say)
    if checkpoint is None and begun["run"]["checkpoint_every"] == 0:
        raise ValueError(f"the run in {folder.path} was to make no checkpoints: it cannot be gone on with")
    if checkpoint is None and folder.ending.exists():
        raise ValueError(
            f"the run in {folder.path} came to its end and its checkpoints are gone: it cannot be gone on with, "
            "begin a new one"
        )
    return checkpoint


def _cut_back(
    folder: RunFolder, checkpoint: Checkpoint | None, description: dict[str, Any], say: Callable[[str], None]
) -> None:
    """Put a run's folder back to its checkpoint, or to its beginning, and say so."""
    if checkpoint is None:
        say("the run was ended before its first checkpoint: it begins anew")
        begin_anew(folder)
        return
    try:
        rounds, _ = operator.index(checkpoint.state["rounds"]), float(checkpoint.state["seconds"])
        go_back(folder, checkpoint)
    except _NO_STATE as error:
        raise _damaged(folder, error) from error
    say(f"resumed after {rounds:,} rounds")
    for difference in differences(folder.read_config(), description):
        say(f"{difference}: from here on the numbers may not be those of an uninterrupted run to the bit")


def _put_back(parts: RunParts, state: dict[str, Any], folder: RunFolder, task: Task, loaded: Loaded) -> None:
    try:
        parts.load_state_dict(state)
        _check_remembered(parts, task, loaded)
    except (*_NO_STATE, ValueError, RuntimeError) as error:
        raise _damaged(folder, error) from error


def _check_remembered(parts: RunParts, task: Task, loaded: Loaded) -> None:
    """ValueError if what is remembered is none of this model's; found here, and not when it is drawn."""
    check_rows(parts.deployment.loop.rounds.memory.held(), task, loaded)
    if isinstance(parts.chunker, Chunker):
        for part in parts.chunker.state_dict()["waiting"]:
            check_rows(np.array(part["ids"], dtype=np.int64), task, loaded)


def _going_on(outcomes: Iterator[Outcome], folder: RunFolder) -> Iterator[Outcome]:
    """The rounds of a run that is gone on with; what a damaged state does to the first is told as that."""
    try:
        first = next(outcomes, None)
    except torch.OutOfMemoryError:
        raise
    except (*_NO_STATE, AssertionError, RuntimeError) as error:
        raise _damaged(folder, error) from error
    if first is not None:
        yield first
        yield from outcomes


def _damaged(folder: RunFolder, error: Exception) -> ValueError:
    return ValueError(
        f"the newest checkpoint of the run in {folder.path} is damaged, or of another model "
        f"({type(error).__name__}: {str(error)[:200]}): begin a new run"
    )


def _open_source(
    config: RunConfig, folder: RunFolder, dead_letter: DeadLetter, interrupt: Interrupt, state: dict[str, Any]
) -> Source:
    try:
        if state:
            dead_letter.load_state_dict(state["dead_letter"])
        return open_source(
            config.stream,
            dead_letter=dead_letter,
            follow=config.follow,
            seed=config.seed,
            stop=_Over(folder, interrupt),
            spool=folder.spool if config.spool else None,
            state=state.get("source"),
            late_labels=config.task == "classify",
            repeats=config.task == "answer",
        )
    except _NO_STATE as error:
        if not state:
            raise
        raise _damaged(folder, error) from error


def _chunker(config: RunConfig, loaded: Loaded, task: Task, dead_letter: DeadLetter) -> AnyChunker:
    seq_len = config.seq_len or loaded.seq_len
    return task.chunker(loaded.tokenizer, chunk=config.chunk, seq_len=seq_len, dead_letter=dead_letter)


def _at_least_one(chunks: Iterator[Chunk], chunker: AnyChunker, dead_letter: DeadLetter) -> Iterator[Chunk]:
    """The stream's chunks; ValueError if there is none."""
    first = next(chunks, None)
    if first is None:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(dead_letter.counts.items()))
        rejected = f" ({dead_letter.total} rows could not be used: {reasons})" if reasons else ""
        sequences, seq_len = chunker.shape
        if not isinstance(chunker, Chunker):
            what = "labelled documents" if isinstance(chunker, LabelledChunker) else "answers"
            raise ValueError(
                f"the stream ended after {chunker.leftover_tokens} {what}{rejected}, and a chunk takes "
                f"{sequences}: give more of them, or a smaller --chunk"
            )
        raise ValueError(
            f"the stream ended after {chunker.leftover_tokens} tokens{rejected}, and a chunk takes "
            f"{sequences} sequences of {seq_len}, {sequences * seq_len} tokens: "
            f"give more text, or a smaller --chunk or --seq-len"
        )
    return chain([first], chunks)


class _Over:
    """Whether the stream is to end, asked for each of its lines; looks for a file STOP five times a second.

    A look costs more than reading a line does. After each round STOP is looked for in any case.
    """

    def __init__(self, folder: RunFolder, interrupt: Interrupt) -> None:
        self._folder, self._interrupt = folder, interrupt
        self._next_look_s = 0.0  # by time.monotonic()
        self._stop = False

    def __call__(self) -> bool:
        if time.monotonic() >= self._next_look_s:
            self._stop = self._folder.stop_requested
            self._next_look_s = time.monotonic() + STOP_LOOK_S
        return self._stop or self._interrupt.requested is not None


def _signals_every(config: RunConfig) -> int:
    return 1 if config.rounds is None else -(-config.rounds // SIGNAL_POINTS)


def _play(
    outcomes: Iterator[Outcome],
    parts: RunParts,
    checkpoints: RunCheckpoints,
    on_round: Callable[[RoundRecord], None] | None,
) -> None:
    for outcome in outcomes:
        parts.decisions.write(decision_row(outcome))
        parts.stream.write(_stream_row(outcome.record))
        why = parts.explanations.round(outcome.record.round)
        parts.tracker.round(
            outcome.record,
            guard=outcome.guard,
            layer=outcome.layer,
            proposed=outcome.proposed,
            explanation=why,
        )
        if on_round is not None:
            on_round(outcome.record)
        checkpoints.round_done()
    checkpoints.ended()


def decision_row(outcome: Outcome) -> dict[str, Any]:
    """A line of decisions.jsonl."""
    record = outcome.record
    row = {
        "round": record.round,
        "loss_bpb": record.loss_bpb,
        **_knobs(record.decision),
        "updates": record.report.updates,
        "spent": record.spent,
        "guard": outcome.guard,
        "drift": list(record.signals.alarms),
    }
    if record.signals.metric is not None:
        row |= {"loss_nats": record.loss_nats, "metric": record.signals.metric}
    if record.reselected is not None:
        row["text_features"] = asdict(record.reselected)
    return row if outcome.proposed is None else {**row, "proposed": _knobs(outcome.proposed)}


def _knobs(decision: Decision) -> dict[str, Any]:
    knobs = {name: getattr(decision, name) for name in ("lr", "batch_size", "window", "update")}
    return knobs | {name: value for name, value in decision.regularisation().items() if value}


def _stream_row(record: RoundRecord) -> dict[str, Any]:
    row = {name: getattr(record, name) for name in ("round", "source", "segment", "n_bytes")}
    return {**row, "judged": [list(count) for count in record.judged]} if record.judged else row


def _write_ending(folder: RunFolder, ended: str, dead_letter: DeadLetter, *, seconds: float) -> None:
    rejected = dict(sorted(dead_letter.counts.items()))
    row = {"ended": ended, "seconds": round(seconds, 1), "dead_letters": rejected}
    replace_synced(folder.ending, (json.dumps(row) + "\n").encode())


def _save_model(loaded: Loaded, folder: RunFolder) -> bool:
    """Save the adapted model, unless its weights are not finite: those would be of no use to anybody."""
    if not all(bool(torch.isfinite(weights).all()) for weights in loaded.model.parameters()):
        return False
    unfinished, before = (folder.model.with_name(f"model.{state}") for state in ("unfinished", "before"))
    for leftover in (unfinished, before):
        shutil.rmtree(leftover, ignore_errors=True)
    with disk_errors(folder.model):
        loaded.save(unfinished)
    sync_tree(unfinished)
    if folder.model.exists():  # the run had come to an end and was gone on with
        folder.model.rename(before)
    unfinished.rename(folder.model)
    sync_folder(folder.path)
    shutil.rmtree(before, ignore_errors=True)
    return True


def _describe(
    config: RunConfig,
    base: Base,
    loaded: Loaded,
    policy: dict[str, Any] | None,
    guarantee: Guarantee | None,
    found: Team | None,
    task: Task,
) -> dict[str, Any]:
    """All that decides the result; written before the first round."""
    loop = _loop_config(config, loaded)
    weights = list(loaded.model.parameters())
    sizes = {
        "parameters": sum(each.numel() for each in weights),
        "trained": sum(each.numel() for each in weights if each.requires_grad),
    }
    return {
        "kind": "run",
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "run": config.to_json(),
        "base": asdict(base),
        "loop": {"seq_len": loop.seq_len, "probes": loop.probes, "update_cost": loop.cost.update_cost},
        "model": {**sizes, "weights_sha256": _weights_sha256(loaded.model)},
        "classes": list(task.classes),
        "policy": policy,
        "privacy": None if guarantee is None else guarantee.to_json(),
        "corpus_sha256": corpus_sha256() if config.stream.startswith("builtin:") else None,
        "threads": torch.get_num_threads(),
        "processes": 1 if found is None else found.ranks.size,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    }


def _weights_sha256(model: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for name, weights in sorted(model.named_parameters()):
        digest.update(name.encode())
        digest.update(weights.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
