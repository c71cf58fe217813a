"""Train the rival `dqn` on the surrogate and write it to agents/tuned/dqn.

python scripts/train_dqn.py --steps 400000 --seed 0     a few minutes on one core
"""

import argparse
import sys
import time
from pathlib import Path

from olrl.agents.dqn import DQNConfig, train_dqn
from olrl.agents.rivals.dqn import FOLDER


def main() -> None:
    """Train and write the policy."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=400_000, help="environment steps (default 400,000)")
    parser.add_argument("--seed", type=int, default=0, help="decides everything that is drawn (default 0)")
    parser.add_argument("--out", type=Path, default=FOLDER, help=f"the policy folder (default {FOLDER.name})")
    args = parser.parse_args()
    started, shown = time.monotonic(), 0.0

    def progress(done: int) -> None:
        nonlocal shown
        seconds = time.monotonic() - started
        if seconds - shown >= 5:
            shown = seconds
            left = seconds / done * max(args.steps - done, 0)
            print(f"{done:,} of {args.steps:,} steps, about {left:.0f} s left", file=sys.stderr, flush=True)

    policy = train_dqn(DQNConfig(), steps=args.steps, seed=args.seed, progress=progress)
    policy.save(args.out)
    print(f"policy written to {args.out} after {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
