"""Losses of the reference learner: the tuned constant configuration on the same chunks."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from olrl.assembly import LoopConfig, assemble_loop
from olrl.control.decision import Base
from olrl.learners.learner import Learner
from olrl.streams.chunk import Chunk
from olrl.streams.corpus import cache_folder


def reference_losses(
    chunks: Sequence[Chunk], learner: Learner, *, fixed: Base, config: LoopConfig
) -> tuple[float, ...]:
    """Loss of each chunk, nats per token, under a constant configuration; trains `learner` and leaves it so.

    The result is kept in the cache folder under the hash of everything that decides it, because a reference
    costs as much as an episode and the training streams come back.
    """
    path = cache_folder() / "reference" / f"{_key(chunks, learner, fixed, config)}.json"
    try:
        losses = tuple(float(loss) for loss in json.loads(path.read_text(encoding="utf-8")))
        if len(losses) == len(chunks):
            return losses
    except (OSError, ValueError):
        pass  # not made yet, or cut short by a crash
    losses = _play(chunks, learner, fixed, config)
    _write(path, losses)
    return losses


def _play(chunks: Sequence[Chunk], learner: Learner, fixed: Base, config: LoopConfig) -> tuple[float, ...]:
    loop = assemble_loop(iter(chunks), learner, base=fixed, config=config)
    losses: list[float] = []
    while (signals := loop.observe()) is not None:
        if signals.loss_nats is None:
            raise ValueError(
                f"the reference configuration {fixed} diverges in round {len(losses)}: tune it again"
            )
        losses.append(signals.loss_nats)
        loop.apply(fixed.decision())
    return tuple(losses)


def _key(chunks: Sequence[Chunk], learner: Learner, fixed: Base, config: LoopConfig) -> str:
    settings = [
        asdict(fixed),
        config.chunk,
        config.seq_len,
        asdict(config.cost),
        config.seed,
        version("torch"),
    ]
    digest = hashlib.sha256(json.dumps(settings).encode())
    for name, array in sorted(learner.state_dict().items()):
        digest.update(name.encode() + array.tobytes())
    for chunk in chunks:
        digest.update(chunk.tokens.tobytes())
    return digest.hexdigest()[:32]


def _write(path: Path, losses: tuple[float, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(f".{os.getpid()}.tmp")
    scratch.write_text(json.dumps(losses), encoding="utf-8")
    scratch.replace(path)
