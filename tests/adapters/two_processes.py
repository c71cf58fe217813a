"""The adapters in one process or several: what each process trained on, saw and ended with.

python -m torch.distributed.run --nproc-per-node 2 -m tests.adapters.two_processes FOLDER
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor

from olrl.adapters.losses import causal_lm_losses
from olrl.adapters.plain import SteeredLoop
from olrl.adapters.steering import Round, SteeringConfig
from olrl.control.policy import load_policy
from tests.adapters.readback import BASE, CHUNK, CONFIG, COST, DATA, Reader, Scripted, a_model


def plain(folder: Path) -> dict[str, Any]:
    """A loop by hand, with DistributedDataParallel where there is somebody else."""
    model, controller = a_model(), Scripted()
    optimizer = torch.optim.SGD(model.parameters(), lr=BASE.lr)
    reader = Reader(model, DATA[:, :-1])
    reader.watch(optimizer)
    whole: Any = torch.nn.parallel.DistributedDataParallel(model) if dist.is_initialized() else model
    loop = SteeredLoop(model, optimizer, controller=controller, config=CONFIG)
    for batch in loop.batches(DATA):
        optimizer.zero_grad()
        loop.loss(causal_lm_losses(whole, batch).mean()).backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        optimizer.step()
    return told(reader, controller, model)


def sharded(folder: Path) -> dict[str, Any]:
    """A loop by hand with the weights spread over processes, and the policy that ships deciding."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    model = a_model()
    reader = Reader(model, DATA[:, :-1])
    if dist.is_initialized():
        mesh = init_device_mesh("cpu", (dist.get_world_size(),))
        for layer in model.model.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
    optimizer = torch.optim.SGD(model.parameters(), lr=BASE.lr)
    reader.watch(optimizer)
    played: list[Round] = []
    config = SteeringConfig(chunk=CHUNK, cost=COST, on_round=played.append)
    loop = SteeredLoop(
        model, optimizer, controller=load_policy("default").controller(base=BASE), config=config
    )
    for batch in loop.batches(DATA):
        optimizer.zero_grad()
        loop.loss(causal_lm_losses(model, batch).mean()).backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        optimizer.step()
    return {
        "steps": asdict(reader.steps),
        "signals": [asdict(one.signals) for one in played],
        "decisions": [asdict(one.decision) for one in played],
        "weights": flat(model),
    }


def trainer(folder: Path) -> dict[str, Any]:
    """transformers' Trainer."""
    from olrl.adapters.transformers import SteeredTrainer
    from tests.adapters.test_transformers import Watching, arguments, examples

    model, controller = a_model(), Scripted()
    watching = Watching(Reader(model, DATA))
    several = {"ddp_backend": "gloo"} if int(os.environ.get("WORLD_SIZE", "1")) > 1 else {}
    SteeredTrainer(
        model,
        arguments(folder, optim="sgd", max_grad_norm=0.0, per_device_train_batch_size=2, **several),
        train_dataset=examples(DATA),
        controller=controller,
        steering=CONFIG,
        callbacks=[watching],
    ).train()
    return told(watching.reader, controller, model)


def trl(folder: Path) -> dict[str, Any]:
    """TRL's SFTTrainer."""
    from tests.adapters.test_trl import trained

    model = a_model()
    several = {"ddp_backend": "gloo"} if int(os.environ.get("WORLD_SIZE", "1")) > 1 else {}
    settings = {"optim": "sgd", "max_grad_norm": 0.0, "per_device_train_batch_size": 2, **several}
    watching, controller = trained(folder, DATA, model=model, **settings)
    return told(watching.reader, controller, model)


def lightning(folder: Path) -> dict[str, Any]:
    """Lightning's Trainer."""
    import lightning.pytorch as pl

    from olrl.adapters.lightning import SteeringCallback
    from tests.adapters.test_lightning import Module

    model, controller = a_model(), Scripted()
    reader = Reader(model, DATA[:, :-1])
    steering = SteeringCallback(model, torch.from_numpy(DATA), controller=controller, steering=CONFIG)

    class Plain(Module):
        def configure_optimizers(self) -> torch.optim.Optimizer:
            optimizer = torch.optim.SGD(self.model.parameters(), lr=BASE.lr)
            reader.watch(optimizer)
            return optimizer

    size = int(os.environ.get("WORLD_SIZE", "1"))
    pl.Trainer(
        max_epochs=1,
        callbacks=[steering],
        accelerator="cpu",
        devices=size,
        strategy="ddp" if size > 1 else "auto",
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    ).fit(Plain(model), steering.train_dataloader())
    return told(reader, controller, model)


LOOPS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "plain": plain,
    "sharded": sharded,
    "trainer": trainer,
    "trl": trl,
    "lightning": lightning,
}


def told(reader: Reader, controller: Scripted, model: torch.nn.Module) -> dict[str, Any]:
    """JSON-able."""
    return {
        "steps": asdict(reader.steps),
        "signals": [asdict(signals) for signals in controller.signals],
        "weights": flat(model),
    }


def flat(model: torch.nn.Module) -> list[float]:
    """All weights, those of other processes too."""
    whole = [p.full_tensor() if isinstance(p, DTensor) else p for p in model.parameters()]
    numbers: list[float] = torch.cat([p.detach().flatten() for p in whole]).tolist()
    return numbers


def main() -> None:
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    dist.init_process_group("gloo")
    found = {name: loop(folder / name) for name, loop in LOOPS.items()}
    (folder / f"rank{os.environ['RANK']}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
