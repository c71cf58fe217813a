"""What constant weight decay and a constant pull towards the initial weights are worth, at the tuned constant.

    python scripts/regularisation_study.py --model pico --streams 2 --out runs/regularisation

Every level on the same training and validation streams of the suite drift; runs are cached in the folder.

    python scripts/regularisation_study.py --model pico --train 640 --out runs/regularised

trains a policy that controls both (coding moves-regularised) in place of that, by PPO on the language model alone.
"""

import argparse
import json
from pathlib import Path

from olrl.agents.evaluation.jobs import TRAINING_SEED, Job, run_jobs
from olrl.agents.evaluation.suites import Wanted, streams_of
from olrl.agents.ppo.recipe import PPOConfig, Recipe, StageConfig, ValidationConfig
from olrl.agents.ppo.train import train
from olrl.control.decision import Base
from olrl.control.policy import load_policy
from olrl.models.load import load_model
from olrl.monitor.signals import Signals
from olrl.streams.pieces import Split

LEVELS: tuple[dict[str, float], ...] = (
    {},
    *({"weight_decay": level} for level in (0.1, 1.0, 10.0)),
    *({"pull": level} for level in (1.0, 3.0, 10.0, 30.0)),
)


def main() -> None:
    """Run every level on every stream, and print losses beside those without."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="pico")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--streams", type=int, default=2, help="of each split")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--train", type=int, metavar="STEPS", help="train a policy for so many steps instead")
    args = parser.parse_args()
    if args.train:
        _train(args)
        return
    loaded = load_model(args.model)
    assert loaded.fixed is not None, "only a model with a tuned constant has a rate to try them at"
    streams = []
    splits: tuple[Split, ...] = ("train", "validation")
    for split in splits:
        wanted = Wanted(
            streams=args.streams,
            rounds=args.rounds,
            bytes_per_round=loaded.bytes_per_round(chunk=16),
            split=split,
            seed=TRAINING_SEED if split == "train" else 0,
        )
        streams += streams_of("drift", wanted)
    jobs = {
        Job(
            entrant="base",
            stream=stream,
            model=args.model,
            base=Base(**{**vars(loaded.fixed), **level}),
            fixed=loaded.fixed,
            base_lr_mult=1.0,
            policy="default",
            seed=0,
            rounds=args.rounds,
            seq_len=loaded.seq_len,
        ): _told(level)
        for stream in streams
        for level in LEVELS
    }
    losses: dict[str, dict[str, float]] = {}
    forgetting: dict[str, dict[str, float]] = {}
    for job, trace in run_jobs(list(jobs), cache=args.out / "cache", processes=args.processes):
        losses.setdefault(job.stream.name, {})[jobs[job]] = trace.mean_loss_bpb
        if trace.forgetting_bpb is not None:
            forgetting.setdefault(job.stream.name, {})[jobs[job]] = trace.forgetting_bpb
        (args.out / "results.json").write_text(json.dumps({"loss_bpb": losses, "forgetting_bpb": forgetting}))
    for name, found in losses.items():
        for level in LEVELS:
            told = _told(level)
            change = 100 * (found[told] / found[_told({})] - 1)
            left = forgetting.get(name, {}).get(told)
            print(f"{name:22} {told:18} {found[told]:.4f} bits a byte ({change:+.2f} %)", end="")
            print("" if left is None else f", {left:.4f} on what the stream has left")


class _Printed:
    """Tells how a training run goes."""

    def part(self, name: str, total: int) -> None:
        print(f"{name}: {total}", flush=True)

    def step(self, done: int, note: str = "") -> None:
        pass

    def say(self, text: str) -> None:
        print(text, flush=True)


def _train(args: argparse.Namespace) -> None:
    """Train, and tell how the decisions of the policy move weight decay and pull on a validation stream."""
    stage = StageConfig(
        name=f"language-{args.model}",
        kind="language",
        steps=args.train,
        n_envs=4,
        legs=2,
        env={"model": args.model, "rounds": min(args.rounds, 20), "n_streams": 4, "chunk": 4},
        ppo=PPOConfig(rollout=10, batch_size=40, n_epochs=4, gamma=0.96),
    )
    recipe = Recipe(
        name="regularised",
        coding="moves-regularised",
        hidden=(64, 64),
        stages=(stage,),
        validation=ValidationConfig(
            model=args.model, streams=1, rounds=min(args.rounds, 20), base_lr_mult=(1.0,)
        ),
    )
    args.out.mkdir(parents=True, exist_ok=True)
    progress = train(recipe, seed=0, out=args.out, resume=False, report=_Printed())
    print(json.dumps(progress.to_dict())[:2000])
    policy = load_policy(args.out / "policy")
    controller = policy.controller(base=Base(lr=1e-3))
    signals = Signals(loss_nats=2.0, lr=1e-3, batch_size=8, window=8)
    print([controller.decide(signals).regularisation() for _ in range(5)])


def _told(level: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in level.items()) or "neither"


if __name__ == "__main__":
    main()
