"""Losses of the reference learner: the tuned constant configuration on the same chunks."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from olrl.assembly import LoopConfig
from olrl.control.decision import Base
from olrl.learners.optimizer import OptimizerConfig
from olrl.learners.stack import LearnerStack
from olrl.memory import Memory
from olrl.streams.chunk import Chunk
from olrl.streams.corpus import cache_folder

_SIDE_BY_SIDE = 64  # references run in one stack
_FORMAT = 2  # goes up when the same settings would give other losses


class References:
    """Runs references, and keeps their losses in the cache folder under the hash of everything that decides them.

    A reference costs as much as an episode, and the training streams come back. Those that are missing run in
    one stack; a learner's losses do not depend on who shares it.
    """

    def __init__(
        self, model: torch.nn.Module, *, fixed: Base, config: LoopConfig, optimizer: OptimizerConfig
    ) -> None:
        self._model = model
        self._fixed = fixed
        self._config = config
        self._optimizer = optimizer

    def losses(self, streams: Sequence[Sequence[Chunk]], *, seeds: Sequence[int]) -> list[tuple[float, ...]]:
        """Loss of each chunk of each stream, nats per token; `seeds` key the draws from memory.

        ValueError if the configuration diverges.
        """
        paths = [self._path(chunks, seed) for chunks, seed in zip(streams, seeds, strict=True)]
        found = [_read(path, len(chunks)) for path, chunks in zip(paths, streams, strict=True)]
        missing = [k for k, losses in enumerate(found) if losses is None]
        for start in range(0, len(missing), _SIDE_BY_SIDE):
            part = missing[start : start + _SIDE_BY_SIDE]
            played = self._play([streams[k] for k in part], [seeds[k] for k in part])
            for k, row in zip(part, played, strict=True):
                found[k] = tuple(row.tolist())
                _write(paths[k], row.tolist())
        return [losses for losses in found if losses is not None]

    def _play(self, streams: Sequence[Sequence[Chunk]], seeds: Sequence[int]) -> NDArray[np.float64]:
        """Losses, shape (streams, rounds); streams are equally long."""
        n, fixed, cost = len(streams), self._fixed, self._config.cost
        updates = cost.updates(fixed.batch_size)
        stack = LearnerStack(self._model, n, optimizer=self._optimizer)
        memories = [self._memory(seed) for seed in seeds]
        which, losses = np.arange(n), np.empty((n, len(streams[0])))
        for t in range(losses.shape[1]):
            tokens = [chunks[t].tokens for chunks in streams]
            losses[:, t] = stack.score(np.stack(tokens), which).mean(axis=1)
            if not np.isfinite(losses[:, t]).all():
                raise ValueError(f"the reference configuration {fixed} diverges in round {t}: tune it again")
            for memory, new in zip(memories, tokens, strict=True):
                memory.add(new)
            drawn = [
                memory.draw(round_=t, window=fixed.window, start=0, count=updates * fixed.batch_size)
                for memory in memories
            ]
            stack.update(
                np.stack(drawn),
                which,
                batch_size=np.full(n, fixed.batch_size),
                updates=np.full(n, updates),
                lr=np.full(n, fixed.lr),
                weight_decay=np.full(n, fixed.weight_decay),
                pull=np.full(n, fixed.pull),
            )
        return losses

    def _memory(self, seed: int) -> Memory:
        shape = (self._config.seq_len + 1,)
        return Memory(chunk_size=self._config.chunk, example_shape=shape, dtype=np.int32, seed=seed)

    def _path(self, chunks: Sequence[Chunk], seed: int) -> Path:
        config = self._config
        settings = [
            _FORMAT,
            asdict(self._fixed),
            asdict(self._optimizer),
            config.chunk,
            config.seq_len,
            asdict(config.cost),
            seed,
            version("torch"),
        ]
        digest = hashlib.sha256(json.dumps(settings).encode())
        for parameter in self._model.parameters():
            digest.update(parameter.detach().cpu().numpy().tobytes())
        for chunk in chunks:
            digest.update(chunk.tokens.tobytes())
        return cache_folder() / "reference" / f"{digest.hexdigest()[:32]}.json"


def _read(path: Path, length: int) -> tuple[float, ...] | None:
    try:
        losses = tuple(float(loss) for loss in json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None  # not made yet, or cut short by a crash
    return losses if len(losses) == length else None


def _write(path: Path, losses: list[float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(f".{os.getpid()}.tmp")
    scratch.write_text(json.dumps(losses), encoding="utf-8")
    scratch.replace(path)
