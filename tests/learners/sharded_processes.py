"""Learners whose weights are spread over the processes of a launcher: what the first one was told.

python -m torch.distributed.run --nproc-per-node 2 -m tests.learners.sharded_processes FILE
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from olrl.control.decision import Decision
from olrl.learners.learner import Learner
from olrl.learners.led import Leader, Line, follow
from olrl.learners.optimizer import OptimizerConfig
from olrl.learners.ranks import Ranks
from olrl.learners.sharded_lm import ShardedLMLearner
from olrl.models.byte_level import ByteModelShape, build_model
from olrl.models.lora import Lora, add_adapters


def a_model() -> Any:
    """Two layers, so that one is gathered while another is not."""
    return build_model(ByteModelShape(width=8, layers=2, heads=2, mlp=16), seed=0)


def an_adapted_model() -> Any:
    model = a_model()
    add_adapters(model, Lora(r=3))  # an odd number of rows: shares are not equal
    return model


CASES: dict[str, tuple[Callable[[], Any], OptimizerConfig]] = {
    "adamw": (a_model, OptimizerConfig()),
    "sgd": (a_model, OptimizerConfig(name="sgd")),
    "lora": (an_adapted_model, OptimizerConfig()),
}


def rows(n: int, *, seed: int) -> NDArray[np.int32]:
    """Different sequences of 9 tokens."""
    return np.random.default_rng(seed).integers(1, 256, (n, 9)).astype(np.int32)


def play(learner: Learner) -> dict[str, Any]:
    """Batches larger and smaller than there are processes, a step that breaks the weights, and the way back."""
    scores, reports = [learner.score(rows(5, seed=0)).tolist()], []
    for k, sizes in enumerate([(3, 3), (1, 1, 1), (2, 8), (40,)]):
        batches = [rows(size, seed=10 * k + j) for j, size in enumerate(sizes)]
        decision = Decision(lr=1e-2, batch_size=sizes[0], window=1, weight_decay=0.1)
        reports.append(asdict(learner.update(iter(batches), decision)))
        scores.append(learner.score(rows(1 + 6 * k, seed=k)).tolist())
    good = learner.state_dict()
    broken = Decision(lr=1e30, batch_size=4, window=1)
    reports.append(asdict(learner.update((rows(4, seed=k) for k in range(3)), broken)))
    learner.score(rows(4, seed=0))  # gathers broken weights, which must not outlive what follows
    learner.load_state_dict(good)
    scores.append(learner.score(rows(4, seed=0)).tolist())
    reports.append(asdict(learner.update(iter([rows(2, seed=7)]), Decision(lr=1e-2, batch_size=2, window=1))))
    return {
        "scores": scores,
        "reports": reports,
        "state": {name: array.tolist() for name, array in learner.state_dict().items()},
    }


def main() -> None:
    """Every case, one after another."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    ranks, line = Ranks.present(), Line()
    told = {}
    for name, (build, optimizer) in CASES.items():
        learner = ShardedLMLearner(build(), ranks=ranks, optimizer=optimizer, pass_size=8)
        if ranks.rank:
            follow(learner, line)
            continue
        told[name] = play(Leader(learner, line))
        line.say(None)
    if not ranks.rank:
        Path(sys.argv[1]).write_text(json.dumps(told))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
