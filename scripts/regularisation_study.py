"""What constant weight decay and a constant pull towards the initial weights are worth, at the tuned constant.

    python scripts/regularisation_study.py --model pico --streams 2 --out runs/regularisation

Every level on the same training and validation streams of the suite drift; runs are cached in the folder.
"""

import argparse
import json
from pathlib import Path

from olrl.agents.evaluation.jobs import TRAINING_SEED, Job, run_jobs
from olrl.agents.evaluation.suites import Wanted, streams_of
from olrl.control.decision import Base
from olrl.models.load import load_model
from olrl.streams.pieces import Split

LEVELS: tuple[dict[str, float], ...] = (
    {},
    *({"weight_decay": level} for level in (0.1, 1.0, 10.0)),
    *({"pull": level} for level in (0.1, 1.0, 10.0)),
)


def main() -> None:
    """Run every level on every stream, and print losses beside those without."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="pico")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--streams", type=int, default=2, help="of each split")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
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


def _told(level: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in level.items()) or "neither"


if __name__ == "__main__":
    main()
