"""What a search is asked to do."""

import math
from dataclasses import dataclass, replace
from typing import Any

from olrl.control.decision import Base
from olrl.learners.cost import CostModel

from ..evaluation.given import check_task
from ..rivals.samplers import SAMPLERS

ENGINES = ("optuna", "ray")


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """A search for the constant configuration with which a model learns a stream best.

    stream: SOURCE, as `olrl run` takes it, but for standard input: every trial reads it anew.
    task: what is learned of it, "lm", "classify" or "answer"; None is "lm", and not for a stream with labels.
    classes, encoder, text_features: of a classifier, as `olrl run` has them; no classes: those found in the stream.
    model: a shipped model, a folder in Hugging Face format, or a hub id.
    base_lr, base_batch, base_window, base_weight_decay: the configuration that the search starts from, where it
    differs from the model's own. It is the first trial, and the rate is searched within `reach` of it.
    rounds: rounds of the stream at most. prefix: search on so many of them only, and play the others with what
    was found; None searches on all of them, in hindsight.
    trials: configurations tried, the base among them, at least 2.
    engine: `optuna`, one trial after the other in this process, or `ray`, as many at once as there are cores.
    sampler: who proposes, one of `SAMPLERS`. prune: whether a trial that does badly is stopped early.
    reach: factor that the rate lies off the base's at most, above 1; 64 is what a policy has.

    >>> SearchConfig(stream="mail.jsonl", prefix=150, rounds=100)
    Traceback (most recent call last):
    ...
    ValueError: prefix must be less than rounds (100), so that some are left to play, not 150
    """

    stream: str
    task: str | None = None
    classes: tuple[str, ...] = ()
    encoder: str | None = None
    text_features: int = 0
    model: str = "nano"
    base_lr: float | None = None
    base_batch: int | None = None
    base_window: int | None = None
    base_weight_decay: float | None = None
    rounds: int = 150
    prefix: int | None = None
    trials: int = 32
    engine: str = "optuna"
    sampler: str = "gp"
    prune: bool = True
    reach: float = 64.0
    chunk: int = 16
    seq_len: int | None = None
    cost: CostModel = CostModel()
    device: str = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.stream or self.stream == "-":
            raise ValueError("every trial reads the stream anew, and standard input cannot be: give a file")
        self._check_task()
        for name, least in (("rounds", 2), ("trials", 2), ("chunk", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)!r}")
        if self.prefix is not None and self.prefix < 2:
            raise ValueError(f"prefix must be at least 2 rounds, not {self.prefix!r}")
        if self.prefix is not None and self.prefix >= self.rounds:
            raise ValueError(
                f"prefix must be less than rounds ({self.rounds}), so that some are left to play, "
                f"not {self.prefix!r}"
            )
        for name, known in (("engine", ENGINES), ("sampler", SAMPLERS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")
        if not (math.isfinite(self.reach) and self.reach > 1):
            raise ValueError(f"reach must be a factor above 1, not {self.reach!r}")
        self._own(Base(lr=1.0))

    def _check_task(self) -> None:
        check_task(
            self.learned,
            classes=self.classes,
            text_features=self.text_features,
            classifies=self.learned == "classify" and self.frozen,
        )
        if self.encoder is not None and self.learned != "classify":
            raise ValueError("encoder has no effect without --task classify: leave it out")
        if self.encoder not in (None, "frozen", "learning"):
            raise ValueError(f"encoder must be frozen or learning, not {self.encoder!r}")

    @property
    def learned(self) -> str:
        """What is learned of the stream."""
        return self.task or "lm"

    @property
    def frozen(self) -> bool:
        """Whether a classifier is a head on a model that does not learn."""
        return self.encoder != "learning"

    @property
    def loss_unit(self) -> str:
        """What losses are bits of: a "byte", or a "label" for a classifier."""
        return "label" if self.learned == "classify" else "byte"

    @property
    def searched(self) -> int:
        """Rounds that a trial plays."""
        return self.rounds if self.prefix is None else self.prefix

    def base(self, shipped: Base | None) -> Base:
        """What ships for the task, changed by the user's own setting; ValueError if no rate is known."""
        if shipped is None and self.base_lr is None:
            raise ValueError(
                f"model {self.model!r} ships no base configuration: give --base-lr, the learning rate that the "
                f"search is to look around"
            )
        return self._own(shipped or Base(lr=1.0))

    def _own(self, start: Base) -> Base:
        own: dict[str, Any] = {
            "lr": self.base_lr,
            "batch_size": self.base_batch,
            "window": self.base_window,
            "weight_decay": self.base_weight_decay,
        }
        return replace(start, **{name: value for name, value in own.items() if value is not None})
