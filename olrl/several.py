"""A run by several processes, as accelerate or torchrun start them: one leads, each holds a part of the model."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from olrl.learners.led import Leader, Line, follow
from olrl.learners.optimizer import BAYESIAN, OptimizerConfig
from olrl.learners.ranks import Ranks
from olrl.learners.sharded_lm import ShardedLMLearner
from olrl.models.load import LoadedModel, load_model
from olrl.run_config import RunConfig

_LAUNCHED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
# What accelerate's options ask for by the environment, and a run does not do.
_NOT_DONE = {
    "ACCELERATE_MIXED_PRECISION": "--mixed_precision",
    "FSDP_OFFLOAD_PARAMS": "--fsdp_offload_params",
    "FSDP_ACTIVATION_CHECKPOINTING": "--fsdp_activation_checkpointing",
}


def launched() -> Ranks:
    """Which process among how many a launcher started this one as; alone without a launcher."""
    if not all(name in os.environ for name in _LAUNCHED):
        return Ranks()
    return Ranks(rank=int(os.environ["RANK"]), size=int(os.environ["WORLD_SIZE"]))


@dataclass(frozen=True, kw_only=True)
class Team:
    """The processes of a run that have found each other, and the line from the first to the others."""

    ranks: Ranks
    line: Line
    optimizer: OptimizerConfig

    def learner(self, loaded: LoadedModel) -> ShardedLMLearner:
        """The part of the model that this process holds, as a learner; spreads the model, in place."""
        return ShardedLMLearner(loaded.model, ranks=self.ranks, optimizer=self.optimizer)

    def leader(self, loaded: LoadedModel, held: Callable[[], AbstractContextManager[Any]]) -> Leader:
        """The learner of the first process; spreads the model, in place, once its followers have."""
        return Leader(self.learner(loaded), self.line, held=held)


@contextmanager
def team(config: RunConfig) -> Iterator[Team | None]:
    """Within, the processes of a run know each other; None where there is one alone.

    When the first one leaves, the others are told that all is over. ValueError for what a run by several processes
    does not do.
    """
    alone = launched()
    if alone.size == 1:
        yield None
        return
    _check(config)
    if config.device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", alone.rank)))
    dist.init_process_group("nccl" if config.device == "cuda" else "gloo")
    line = Line()
    try:
        yield Team(ranks=Ranks.present(), line=line, optimizer=config.optimizer_config)
    finally:
        if not (alone.rank or line.broken):
            with suppress(RuntimeError):  # they may be gone, and what ends this one is to be told
                line.say(None)
    dist.destroy_process_group()


def _check(config: RunConfig) -> None:
    if config.privacy is not None:
        raise ValueError(
            "differential privacy is for one process: leave the launcher out, or --dp-noise/epsilon"
        )
    if config.optimizer in BAYESIAN or config.draws:
        raise ValueError(
            "a posterior over the weights is kept by one process: leave the launcher out, or take --optimizer adamw"
        )
    if config.dtype != "float32":
        raise ValueError(f"dtype {config.dtype} is for one process: leave the launcher out, or it")
    if config.task != "lm":
        raise ValueError(f"--task {config.task} is for one process: leave the launcher out")
    if config.base_pull:
        raise ValueError(
            f"base_pull {config.base_pull!r} is not there for weights in shards: leave the launcher out, or it"
        )
    if config.device not in ("cpu", "cuda"):
        raise ValueError(
            f"device {config.device!r} names one device, and each of several processes has its own: "
            f"give --device cpu or cuda"
        )
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda' cannot be used here; cpu always can")
    for name, option in _NOT_DONE.items():
        if os.environ.get(name, "no").lower() not in ("no", "false", "none", ""):
            raise ValueError(
                f"accelerate's {option} {os.environ[name]} has no effect on a run, whose weights stay in the "
                f"model's own type and on its device: leave it out"
            )


def load_part(config: RunConfig) -> LoadedModel:
    """The model of a run by several processes, on the CPU until it is spread."""
    return load_model(config.model, lora=config.lora)


def follow_run(config: RunConfig) -> None:
    """What all processes but the first do: hold their part of the model, and do as the first says, to its end.

    Interrupts are the first one's affair; should it die, there is nothing left to do.
    """
    with team(config) as found:
        assert found is not None, "whoever is not the first is not alone"
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        follow(found.learner(load_part(config)), found.line)


def put_together(config: RunConfig, leader: Leader) -> LoadedModel:
    """The model as it has been trained, whole, in this process's memory."""
    loaded = load_part(config)
    loaded.model.load_state_dict(leader.whole_weights())
    return loaded
