"""What a deployed run is asked to do."""

import json
import math
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from olrl.control import registry
from olrl.control.decision import Base
from olrl.control.guard import GuardSettings, Limits
from olrl.learners.cost import CostModel
from olrl.learners.optimizer import BAYESIAN, OPTIMIZERS, OptimizerConfig
from olrl.learners.privacy import CONTROLLERS as PRIVATE_CONTROLLERS
from olrl.learners.privacy import PrivacyConfig
from olrl.models.lora import Lora
from olrl.run_folder import BASE
from olrl.streams.text_features import BUCKETS
from olrl.task_kinds import TASKS

CONTROLLERS: tuple[str, ...] = (*registry.CONTROLLERS, "policy")
DTYPES = ("float32", "bfloat16")
DEFAULT_POLICY = "default"
PROPOSES_NOTHING = (
    "never",
    "base",
)  # controllers whose proposals are the base, or nothing: shadow has no effect


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A run of one model on one stream under one controller.

    task: "lm": the model learns to go on with text; "classify": to tell the labels of documents; "answer": to
    answer
        a document's text with its label, and the loss is on that alone.
    classes: with "classify", the labels, separated by commas; None reads them from a file beforehand.
    encoder: with "classify", "frozen" (None is that) trains a head on features of the model, "learning" all
    weights.
    text_features: with a frozen encoder, so many things at most that stand in a text (words, pairs and pieces of
        words) are seen by the head beside the model's features, chosen online; 0: none, 2048: all.
    stream: SOURCE: a `.jsonl` or `.txt` file, a folder of them, `-`, `builtin:NAME` or `hf:NAME`.
    model: a shipped model, a folder in Hugging Face format, or a hub id.
    controller: one of `CONTROLLERS`.
    policy: with the controller `policy`: a policy that ships or a policy folder; None is the default one.
    base_lr, base_batch, base_window, base_weight_decay, base_pull: the user's own setting, where it differs from
    what ships with the model.
    base_from: the folder of an `olrl search`, whose best configuration comes before what ships with the model.
    rounds: rounds at most; None runs to the stream's end.
    chunk: sequences that arrive a round.
    seq_len: predicted tokens a sequence; None is what suits the model.
    budget: cost units a round may spend; a step over B sequences costs 4 + B.
    price: what one whole budget is worth, as a share of the running loss.
    optimizer: how gradients become moves, one of `OPTIMIZERS`; `von` and `vadam` keep a posterior over the
        weights.
    draws: with one of these: chunks are scored by predictions averaged over so many weights drawn from the
        posterior, each of which costs a pass; 0: under its mean.
    lora: train adapters in place of the model's weights, as `Lora.parse` reads it: `r=8`.
    device: where the model computes, as PyTorch names it.
    dtype: what its weights are loaded as and computed in, one of `DTYPES`; adapters are float32 beside either.
    seed: decides all that is drawn.
    follow: wait for more at the end of a growing file.
    spool: keep what comes from standard input in the folder, so that the run can be gone on with.
    keep_rejected: keep the text of rows that could not be used.
    shadow: the base stays in force, and what the controller would have done is written down.
    dp_noise, dp_epsilon: differential privacy with so much noise, or with what keeps to this epsilon; None is none.
    dp_clip, dp_delta: its bound on an example's gradient (1) and its delta (1e-5).
    max_tokens, max_seconds, max_rollbacks, max_skips: what the run may spend in all, as `Limits` has it; None is no
        limit.
    snapshots: last good states of weights and optimizer kept in memory to roll back to; 0: none.
    out: the folder to write; None makes one under `runs/`.
    checkpoint_every: rounds from one checkpoint to the next; 0 makes none, and None leaves it to the time they take
        (`CheckpointSchedule`).
    resume: go on with the run in `out` from its newest checkpoint; all else must be as it was.

    >>> RunConfig(stream="mail.jsonl", rounds=-3)
    Traceback (most recent call last):
    ...
    ValueError: rounds must be at least 1, not -3
    """

    stream: str
    model: str = "nano"
    task: str = "lm"
    classes: str | None = None
    encoder: str | None = None
    text_features: int = 0
    controller: str = "policy"
    policy: str | None = None
    base_lr: float | None = None
    base_batch: int | None = None
    base_window: int | None = None
    base_weight_decay: float | None = None
    base_pull: float | None = None
    base_from: Path | None = None
    rounds: int | None = None
    chunk: int = 16
    seq_len: int | None = None
    budget: float = 64.0
    price: float = 0.0
    optimizer: str = "adamw"
    draws: int = 0
    lora: str | None = None
    device: str = "cpu"
    dtype: str = "float32"
    seed: int = 0
    follow: bool = False
    keep_rejected: bool = False
    spool: bool = False
    shadow: bool = False
    dp_noise: float | None = None
    dp_epsilon: float | None = None
    dp_clip: float | None = None
    dp_delta: float | None = None
    max_tokens: int | None = None
    max_seconds: float | None = None
    max_rollbacks: int | None = None
    max_skips: int | None = None
    snapshots: int = GuardSettings.snapshots
    out: Path | None = None
    checkpoint_every: int | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        if not self.stream:
            raise ValueError("stream is empty: give a file, a folder, -, builtin:NAME or hf:NAME")
        for name, least in (
            ("rounds", 1),
            ("chunk", 1),
            ("seq_len", 1),
            ("seed", 0),
            ("checkpoint_every", 0),
            ("draws", 0),
            ("text_features", 0),
        ):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, not {value!r}")
        if not (math.isfinite(self.price) and self.price >= 0):
            raise ValueError(f"price must be at least 0, not {self.price!r}")
        CostModel(budget=self.budget)
        GuardSettings(snapshots=self.snapshots)
        _ = self.limits
        self._check_optimizer()
        if self.lora is not None:
            Lora.parse(self.lora)
        self._check_dtype()
        self._own_base(Base(lr=1.0))
        self._check_controller()
        self._check_task()
        if self.privacy is not None:
            self._check_private()
        self._check_resumable()

    def _check_optimizer(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, not {self.optimizer!r}")
        if self.draws and self.optimizer not in BAYESIAN:
            raise ValueError(
                f"draws has no effect with the optimizer {self.optimizer!r}, which has no posterior to draw from: "
                f"choose {' or '.join(BAYESIAN)}"
            )
        if self.optimizer in BAYESIAN and self.privacy is not None:
            raise ValueError(
                f"optimizer {self.optimizer!r} cannot learn with differential privacy: noise in gradients would "
                f"pass for curvature; choose adamw or sgd"
            )

    def _check_dtype(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype must be {' or '.join(DTYPES)}, not {self.dtype!r}")
        if self.dtype == "float32":
            return
        if self.task == "classify":
            raise ValueError(
                f"dtype {self.dtype} is there for --task lm and answer, not for classify: leave it out"
            )
        if self.privacy is not None:
            raise ValueError(
                f"differential privacy is there for --dtype float32 only: leave {self.dtype} out"
            )
        if self.lora is None and self.optimizer in BAYESIAN:
            raise ValueError(
                f"a posterior over weights would be rounded away in {self.dtype}: leave dtype out, or train "
                f"adapters with --lora"
            )

    def _check_controller(self) -> None:
        if self.controller not in CONTROLLERS:
            close = get_close_matches(self.controller, CONTROLLERS, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            known = ", ".join(CONTROLLERS)
            raise ValueError(f"controller must be one of {known}, not {self.controller!r}{hint}")
        if self.policy is not None and self.controller != "policy":
            raise ValueError(f"policy {self.policy!r} has no effect with the controller {self.controller!r}")
        if self.shadow and self.controller in PROPOSES_NOTHING:
            raise ValueError(
                f"shadow has no effect with the controller {self.controller!r}, which proposes nothing new: "
                f"choose hypergradient, drift-reset or policy"
            )

    def _check_task(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"task must be one of {', '.join(TASKS)}, not {self.task!r}")
        if self.task != "classify":
            for name in ("classes", "encoder"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} has no effect with --task {self.task}: leave it out")
        if self.encoder not in (None, "frozen", "learning"):
            raise ValueError(f"encoder must be frozen or learning, not {self.encoder!r}")
        if self.text_features and (self.task != "classify" or self.encoder == "learning"):
            raise ValueError(
                "text_features stand beside a frozen encoder, with --task classify: leave them out here"
            )
        if self.text_features > BUCKETS:
            raise ValueError(f"text_features must be at most {BUCKETS}, not {self.text_features!r}")
        if self.classes is not None and len(set(self.class_names)) < max(len(self.class_names), 2):
            raise ValueError(f"classes takes at least two different labels, A,B,..., not {self.classes!r}")
        if self.task != "lm" and self.privacy is not None:
            raise ValueError(f"differential privacy is there for --task lm only, not for {self.task}")
        if self.task != "lm" and self.draws:
            raise ValueError(f"draws are there for --task lm only, not for {self.task}: leave them out")
        if self.task == "classify" and self.lora is not None:
            raise ValueError("lora has no effect on a classifier: leave it out, or train all weights")

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes that are named; none where they are to be read from the stream."""
        return () if self.classes is None else tuple(name.strip() for name in self.classes.split(","))

    def _check_resumable(self) -> None:
        if self.spool and self.stream != "-":
            raise ValueError(
                f"spool keeps what comes from standard input, and the stream is {self.stream!r}: leave it out"
            )
        if not self.resume:
            return
        if self.out is None:
            raise ValueError("resume needs out, the folder of the run to go on with")
        if self.stream == "-" and not self.spool:
            raise ValueError("what came from standard input is gone: only a run begun with --spool can go on")

    @property
    def privacy(self) -> PrivacyConfig | None:
        """What is asked of differential privacy; None where nothing is."""
        given = {name: getattr(self, f"dp_{name}") for name in ("noise", "epsilon", "clip", "delta")}
        given = {name: value for name, value in given.items() if value is not None}
        if not given:
            return None
        if "noise" not in given and "epsilon" not in given:
            raise ValueError(f"dp {min(given)} has no effect without --dp-noise or --dp-epsilon")
        return PrivacyConfig(**given)

    def _check_private(self) -> None:
        if self.controller not in PRIVATE_CONTROLLERS:
            raise ValueError(
                f"controller {self.controller!r} cannot steer with differential privacy: batch, window and the "
                f"number of steps must be fixed for its accounting, and losses and alarms are withheld; choose "
                f"{', '.join(PRIVATE_CONTROLLERS)}, of which only the rate is obeyed"
            )

    @property
    def cost(self) -> CostModel:
        """The cost of updates, with this run's budget."""
        return CostModel(budget=self.budget)

    @property
    def optimizer_config(self) -> OptimizerConfig:
        """The optimizer, with this run's seed."""
        return OptimizerConfig(name=self.optimizer, seed=self.seed)  # type: ignore[arg-type] # checked before

    @property
    def limits(self) -> Limits:
        """What the run may spend in all."""
        return Limits(
            tokens=self.max_tokens,
            seconds=self.max_seconds,
            rollbacks=self.max_rollbacks,
            skips=self.max_skips,
        )

    def base(self, shipped: Base | None, *, model: str) -> Base:
        """What ships with the model, changed by the user's own setting; ValueError if no rate is known."""
        if self.base_from is not None:
            return self._own_base(read_base(self.base_from))
        if self.lora is not None and self.base_lr is None:
            raise ValueError(
                "no base configuration is known for adapters: give --base-lr, the learning rate you would train "
                "them with (usually ten times that of all weights, e.g. 1e-3)"
            )
        if self.optimizer not in ("adamw", "vadam") and self.base_lr is None:
            raise ValueError(
                f"the rates that ship were tuned for adamw: give --base-lr, the learning rate you would train with "
                f"{self.optimizer}"
            )
        if shipped is None and self.base_lr is None:
            raise ValueError(
                f"model {model!r} ships no base configuration: "
                f"give --base-lr, the learning rate you would train it with"
            )
        return self._own_base(shipped or Base(lr=1.0))

    def _own_base(self, start: Base) -> Base:
        own = {
            "lr": self.base_lr,
            "batch_size": self.base_batch,
            "window": self.base_window,
            "weight_decay": self.base_weight_decay,
            "pull": self.base_pull,
        }
        return Base(**{**asdict(start), **{name: value for name, value in own.items() if value is not None}})

    def to_json(self) -> dict[str, Any]:
        """The settings as plain values, but for `resume`, which is no setting of the run.

        Names of files that are no UTF-8 have their bytes escaped.
        """
        settings = {name: str(v) if isinstance(v, Path) else v for name, v in asdict(self).items()}
        del settings["resume"]
        return {
            name: _printable(value) if isinstance(value, str) else value for name, value in settings.items()
        }


def _printable(name: str) -> str:
    return name.encode("utf-8", errors="backslashreplace").decode("utf-8")


def settings_in(out: Path) -> dict[str, Any]:
    """The settings of the run in a folder, arguments for a `RunConfig` that goes on with it.

    ValueError if there is no run of this version.
    """
    from olrl.run_folder import RunFolder  # not needed for help, which must be quick

    config = RunFolder.open(out).read_config()
    if config.get("kind") != "run":
        raise ValueError(f"{out} is not the folder of an olrl run")
    settings = config.get("run")
    if not isinstance(settings, dict) or not isinstance(settings.get("stream"), str):
        raise ValueError(
            f"config.json in {out} does not say what the run was asked to do: it is damaged, begin a new run"
        )
    if set(settings) != set(RunConfig.__dataclass_fields__) - {"resume"}:
        raise ValueError(f"the run in {out} was begun by another version of olrl: begin a new run")
    if settings["base_from"] is not None:
        settings["base_from"] = Path(settings["base_from"])
    return {**settings, "out": out, "resume": True}


def read_base(folder: Path) -> Base:
    """The configuration that `olrl search` has left in its folder; ValueError if there is none."""
    path = folder / BASE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(
            f"--base-from {folder} holds no {BASE}: give the --out of an olrl search that has come to its end"
        ) from None
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    names = [field.name for field in fields(Base)]
    numbers = isinstance(found, dict) and all(isinstance(value, int | float) for value in found.values())
    if not numbers or {"pull", *found} != set(
        names
    ):  # a search that was made before there was a pull has none
        raise ValueError(f"{path} is damaged: it should hold the numbers {', '.join(names)}")
    return Base(**found)
