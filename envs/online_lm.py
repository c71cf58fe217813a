"""A real language model that learns online from real, drifting text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from olrl.assembly import LoopConfig, assemble_loop, cut_chunks
from olrl.control.decision import BATCH_SIZES, WINDOWS, Base
from olrl.learners.causal_lm import CausalLMLearner, OptimizerConfig
from olrl.learners.cost import CostModel
from olrl.loop import OnlineLoop
from olrl.models.load import load_model
from olrl.streams.chunk import Chunk
from olrl.streams.corpus import load_corpus
from olrl.streams.drift import drift_stream
from olrl.streams.pieces import SPLITS
from olrl.streams.suite import SuiteConfig

from .control_env import ControlEnv
from .episode import Episode
from .masks import draw_masks
from .reference import reference_losses
from .reward import Reward

_KEPT_STREAMS = 4  # chunks and references of the last few streams, so that a snapshot's return is quick


@dataclass(frozen=True, kw_only=True)
class EpisodeRanges:
    """What is drawn anew for each episode; a range of one value fixes it.

    `base_lr_octaves`: the base rate is the tuned one times 2^U(-x, x). `base_free`: probability that batch size
    and window of the base are drawn from their ladders instead of the tuned ones. `update_cost`: uniform, units.
    `price`: 0 with probability one half, otherwise log-uniform in this range; `(0, 0)` for no price ever.
    `mask_probability`: of each group of signals to be missing throughout the episode.
    """

    base_lr_octaves: float = 3.5
    base_free: float = 0.5
    update_cost: tuple[float, float] = (0.0, 16.0)
    price: tuple[float, float] = (0.003, 0.1)
    mask_probability: float = 0.05

    def draw(self, rng: np.random.Generator, fixed: Base) -> tuple[Base, CostModel, float, frozenset[str]]:
        """Base, cost model, price and missing signals of one episode."""
        free = rng.random() < self.base_free
        batch_size, window = int(rng.choice(BATCH_SIZES)), int(rng.choice(WINDOWS))
        base = Base(
            lr=fixed.lr * 2.0 ** rng.uniform(-self.base_lr_octaves, self.base_lr_octaves),
            batch_size=batch_size if free else fixed.batch_size,
            window=window if free else fixed.window,
            weight_decay=fixed.weight_decay,
        )
        cost = CostModel(update_cost=rng.uniform(*self.update_cost))
        priced, position = rng.random() < 0.5, rng.random()
        price = 0.0
        if priced and self.price[1] > 0:
            price = math.exp(np.interp(position, (0, 1), np.log(self.price)))
        return base, cost, price, draw_masks(rng, self.mask_probability)


class OnlineLMEnv(ControlEnv):
    """Steer the learning rate, batch size and sampling window of a language model on a drifting stream.

    DATA SHEET
    """

    def __init__(
        self,
        *,
        model: str = "pico",
        split: str = "train",
        rounds: int = 120,
        n_streams: int = 64,
        stream_seed: int = 0,
        segment: tuple[int, int] = (10, 60),
        chunk: int = 16,
        optimizer: str = "adamw",
        coding: str = "moves",
        ranges: dict[str, Any] | None = None,
        reward: dict[str, Any] | None = None,
        device: str = "cpu",
        render_mode: str | None = None,
    ) -> None:
        super().__init__(coding=coding, reward=Reward(**(reward or {})), render_mode=render_mode)
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
        if rounds < 1 or n_streams < 1:
            raise ValueError(f"rounds and n_streams must be at least 1, not {rounds!r} and {n_streams!r}")
        loaded = load_model(model, device=device)
        if loaded.fixed is None:
            raise ValueError(f"model {model!r} has no tuned constant configuration for the reference to run")
        self._fixed = loaded.fixed
        self._tokenizer = loaded.tokenizer
        self._rounds = rounds
        self._n_streams = n_streams
        self._ranges = EpisodeRanges(**{name: _tuple(value) for name, value in (ranges or {}).items()})
        self._config = LoopConfig(chunk=chunk, seq_len=loaded.seq_len)
        self._corpus = load_corpus()
        self._suite = SuiteConfig.for_rounds(
            rounds,
            bytes_per_round=chunk * loaded.seq_len,
            split=split,
            seed=stream_seed,
            segment=(segment[0], segment[1]),
        )
        self._learner = CausalLMLearner(loaded.model, optimizer=OptimizerConfig(name=optimizer))  # type: ignore[arg-type] # checked by OptimizerConfig
        self._initial = {"values": self._learner.state_dict()["values"]}
        self._streams: dict[int, tuple[tuple[Chunk, ...], tuple[float, ...]]] = {}

    def _new_episode(self, seed: int) -> Episode:
        rng = np.random.default_rng(seed)
        number = int(rng.integers(self._n_streams))
        base, cost, price, masked = self._ranges.draw(rng, self._fixed)
        chunks, reference = self._stream(number)
        self._learner.load_state_dict(self._initial)
        config = replace(self._config, cost=cost, price=price, masked=masked, seed=number)
        return _LMEpisode(self._learner, chunks, reference, base=base, config=config, rounds=self._rounds)

    def _stream(self, number: int) -> tuple[tuple[Chunk, ...], tuple[float, ...]]:
        """Chunks of a stream, one more than rounds, and the reference's losses on them."""
        if number not in self._streams:
            if len(self._streams) >= _KEPT_STREAMS:
                self._streams.pop(next(iter(self._streams)))
            documents = drift_stream(self._suite.stream(number, self._corpus), self._corpus)
            chunks = tuple(cut_chunks(documents, self._tokenizer, self._config))[: self._rounds + 1]
            self._learner.load_state_dict(self._initial)
            config = replace(self._config, seed=number)
            losses = reference_losses(chunks, self._learner, fixed=self._fixed, config=config)
            self._streams[number] = chunks, losses
        return self._streams[number]


class _LMEpisode(Episode):
    def __init__(
        self,
        learner: CausalLMLearner,
        chunks: Sequence[Chunk],
        reference: Sequence[float],
        *,
        base: Base,
        config: LoopConfig,
        rounds: int,
    ) -> None:
        self.base = base
        self.rounds = rounds
        self._chunks = chunks
        self._reference = reference
        self._stream = _Replay(chunks)
        self.loop: OnlineLoop = assemble_loop(self._stream, learner, base=base, config=config)

    def reference_loss(self) -> float:
        return self._reference[self._stream.position - 1]

    def truth(self) -> dict[str, Any]:
        chunk = self._chunks[self._stream.position - 1]
        return {"segment": chunk.segment, "source": chunk.source}

    def state_dict(self) -> dict[str, Any]:
        return {"position": self._stream.position, "loop": self.loop.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._stream.position = state["position"]
        self.loop.load_state_dict(state["loop"])


class _Replay:
    """An iterator over chunks that can be put anywhere."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._chunks = chunks
        self.position = 0

    def __iter__(self) -> "_Replay":
        return self

    def __next__(self) -> Chunk:
        if self.position >= len(self._chunks):
            raise StopIteration
        self.position += 1
        return self._chunks[self.position - 1]


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
