"""A deployed run: a model learns online from a stream, under a controller behind a guard."""

import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from olrl.analysis.overview import read_overview
from olrl.analysis.records import RunRecords
from olrl.analysis.report import sentence, write_report
from olrl.analysis.summary import Summary
from olrl.assembly import LoopConfig, assemble_loop
from olrl.control.controller import Controller
from olrl.control.decision import Base, Decision
from olrl.control.guard import Guard
from olrl.control.policy import load_policy
from olrl.control.rate_only import RateOnly
from olrl.control.registry import make_controller
from olrl.deployment import Deployment, Outcome
from olrl.interrupt import Interrupt
from olrl.learners.causal_lm import CausalLMLearner
from olrl.learners.poisson import PoissonSampling
from olrl.learners.privacy import WITHHELD, Guarantee
from olrl.learners.private_lm import PrivateLMLearner
from olrl.loop import OnlineLoop, RoundRecord
from olrl.models.load import LoadedModel, load_model
from olrl.run_config import DEFAULT_POLICY, RunConfig
from olrl.run_folder import JsonLines, RunFolder, default_path
from olrl.streams.chunk import Chunk
from olrl.streams.chunker import Chunker
from olrl.streams.corpus import corpus_sha256
from olrl.streams.dead_letter import DeadLetter
from olrl.streams.sources import open_source
from olrl.tracking import TensorBoardTracker

PACKAGES = ("olrl", "numpy", "torch", "transformers", "tokenizers", "river", "safetensors")
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


def run(config: RunConfig, *, on_round: Callable[[RoundRecord], None] | None = None) -> RunResult:
    """Run to the stream's end, to the last of the rounds asked for, to a file `STOP` or to Ctrl-C.

    `on_round` is called after each round. Everything is left in a folder (see `olrl.run_folder`); the same
    configuration on the same text gives the same `decisions.jsonl`, byte for byte, on one machine. Raises
    ValueError in one sentence for whatever the caller can put right, and leaves no folder then.
    """
    loaded = _load_model(config)
    base = config.base(loaded.base, model=config.model)
    controller, policy = _controller(config, base)
    guarantee = _guarantee(config, base)
    out = config.out or default_path("run", f"{config.controller} {config.stream}")
    _check_apart(out, config.stream)
    folder = RunFolder.create(out)
    started = time.monotonic()
    with ExitStack() as stack:
        interrupt = stack.enter_context(Interrupt())
        dead_letter = stack.enter_context(DeadLetter(folder.dead_letter, keep_text=config.keep_rejected))
        try:
            with interrupt.immediate():
                chunks = _chunks(config, loaded, dead_letter, stop=_Over(folder, interrupt))
        except BaseException:
            folder.discard()
            raise
        description = _describe(config, base, loaded, policy, guarantee)
        folder.write_config(description)
        deployment = Deployment(
            _loop(config, loaded, chunks, base, guarantee),
            controller=controller if guarantee is None else RateOnly(controller),
            guard=Guard(base=base),
            interrupt=interrupt,
            in_force=base.decision() if config.shadow else None,
            limit=config.rounds,
            stop=lambda: folder.stop_requested,
            loss_withheld=guarantee is not None,
        )
        tracker = stack.enter_context(
            TensorBoardTracker(
                folder.path,
                signals_every=_signals_every(config),
                withheld=frozenset() if guarantee is None else WITHHELD,
            )
        )
        tracker.config(description)
        _play(deployment, folder, tracker, on_round)
        _write_ending(folder, deployment.ended, dead_letter, seconds=time.monotonic() - started)
        overview = read_overview(folder)
        write_report(folder, overview)
        tracker.finish(
            step=overview.summary.rounds - 1,
            summary=sentence(overview.summary),
            figure=folder.figure.read_bytes(),
        )
        return RunResult(
            folder=folder,
            records=overview.kept,
            summary=overview.summary,
            model_saved=_save_model(loaded, folder),
            interrupted=interrupt.requested,
        )


def _load_model(config: RunConfig) -> LoadedModel:
    loaded = load_model(config.model, device=config.device, lora=config.lora)
    longest = getattr(loaded.model.config, "max_position_embeddings", None)
    if longest is not None and (config.seq_len or 1) > longest:
        raise ValueError(
            f"seq_len {config.seq_len} is beyond the {longest} positions of model {config.model!r}"
        )
    return loaded


def _loop_config(config: RunConfig, loaded: LoadedModel) -> LoopConfig:
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


def _loop(
    config: RunConfig,
    loaded: LoadedModel,
    chunks: Iterator[Chunk],
    base: Base,
    guarantee: Guarantee | None,
) -> OnlineLoop:
    """The loop; with a guarantee one that adds noise, draws its batches so, and withholds signals."""
    loop = _loop_config(config, loaded)
    if guarantee is None:
        return assemble_loop(chunks, CausalLMLearner(loaded.model), base=base, config=loop)
    learner = PrivateLMLearner(
        loaded.model, noise=guarantee.noise, clip=guarantee.clip, expected=base.batch_size
    )
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


def _check_apart(out: Path, stream: str) -> None:
    """A run that wrote into the folder it reads would read its own files in the next one."""
    source = Path(stream)
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise ValueError(f"the run would write into its own stream {stream}: give an --out outside of it")


def _chunks(
    config: RunConfig, loaded: LoadedModel, dead_letter: DeadLetter, *, stop: Callable[[], bool]
) -> Iterator[Chunk]:
    """The stream's chunks, of which there is at least one."""
    documents = open_source(
        config.stream, dead_letter=dead_letter, follow=config.follow, seed=config.seed, stop=stop
    )
    seq_len = config.seq_len or loaded.seq_len
    chunker = Chunker(loaded.tokenizer, n_sequences=config.chunk, seq_len=seq_len)
    chunks = chunker.chunks(documents)
    first = next(chunks, None)
    if first is None:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(dead_letter.counts.items()))
        rejected = f" ({dead_letter.total} rows could not be used: {reasons})" if reasons else ""
        raise ValueError(
            f"the stream ended after {chunker.leftover_tokens} tokens{rejected}, and a chunk takes "
            f"{config.chunk} sequences of {seq_len}, {config.chunk * seq_len} tokens: "
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
    deployment: Deployment,
    folder: RunFolder,
    tracker: TensorBoardTracker,
    on_round: Callable[[RoundRecord], None] | None,
) -> None:
    with closing(JsonLines(folder.decisions)) as decisions, closing(JsonLines(folder.stream)) as stream:
        for outcome in deployment.rounds():
            decisions.write(decision_row(outcome))
            stream.write(_stream_row(outcome.record))
            tracker.round(outcome.record, guard=outcome.guard, proposed=outcome.proposed)
            if on_round is not None:
                on_round(outcome.record)


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
    return row if outcome.proposed is None else {**row, "proposed": _knobs(outcome.proposed)}


def _knobs(decision: Decision) -> dict[str, Any]:
    return {name: getattr(decision, name) for name in ("lr", "batch_size", "window", "update")}


def _stream_row(record: RoundRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in ("round", "source", "segment", "n_bytes")}


def _write_ending(folder: RunFolder, ended: str, dead_letter: DeadLetter, *, seconds: float) -> None:
    rejected = dict(sorted(dead_letter.counts.items()))
    row = {"ended": ended, "seconds": round(seconds, 1), "dead_letters": rejected}
    folder.ending.write_text(json.dumps(row) + "\n", encoding="utf-8")


def _save_model(loaded: LoadedModel, folder: RunFolder) -> bool:
    """Save the adapted model, unless its weights are not finite: those would be of no use to anybody."""
    if not all(bool(torch.isfinite(weights).all()) for weights in loaded.model.parameters()):
        return False
    unfinished = folder.model.with_name("model.unfinished")
    loaded.save(unfinished)
    unfinished.rename(folder.model)
    return True


def _describe(
    config: RunConfig,
    base: Base,
    loaded: LoadedModel,
    policy: dict[str, Any] | None,
    guarantee: Guarantee | None,
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
        "policy": policy,
        "privacy": None if guarantee is None else guarantee.to_json(),
        "corpus_sha256": corpus_sha256() if config.stream.startswith("builtin:") else None,
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    }


def _weights_sha256(model: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for name, weights in sorted(model.named_parameters()):
        digest.update(name.encode())
        digest.update(weights.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
