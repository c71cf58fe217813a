"""`scripts/demo`: the main job on real text, from nothing to a table.

Trains a quick controller, freezes it, lets it steer the nano model on text it was not trained on, and
compares it with its rivals from a base learning rate that is right, eight times too low and eight times too
high.
"""

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console

from olrl.run_config import RunConfig

from .bars import Bars
from .evaluation.command import compare_and_tell
from .evaluation.compare import CompareConfig
from .ppo.command import train_and_tell

STREAMS, ROUNDS = 3, 100
CONTROLLERS = ("never", "base", "hypergradient", "drift-reset", "policy", "default")


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("--out", type=Path, help="folder for everything it makes (default runs/demo-TIME)")
    parser.add_argument("--seed", type=int, default=0, help="decides everything that is drawn (default 0)")
    args = parser.parse_args()
    out = args.out or Path("runs") / f"demo-{time.strftime('%Y%m%d-%H%M%S')}"
    started = time.monotonic()
    console = Console()
    with Bars(console) as bars:
        bars.say("1. Train a controller (quick profile) and freeze it")
        train_and_tell("quick", seed=args.seed, out=out / "train", resume=False, bars=bars)
    console.print("\n2. Deploy it: nano learns online from builtin test text under the frozen policy")
    deploy(out, seed=args.seed)
    with Bars(console) as bars:
        bars.say(f"\n3. Compare on {STREAMS} drifting test streams of {ROUNDS} rounds, model nano")
        config = CompareConfig(
            controllers=CONTROLLERS,
            streams=STREAMS,
            rounds=ROUNDS,
            policies=(str(out / "train" / "policy"),),
            seed=args.seed,
        )
        compare_and_tell(config, out=out / "compare", resume=False, bars=bars)
    console.print("policy: the one just trained; default: the one that ships.", highlight=False)
    console.print(
        f"Done in {time.monotonic() - started:.0f} s. Look at it: tensorboard --logdir {out}", highlight=False
    )


def deploy(out: Path, *, seed: int) -> None:
    """`olrl run` as a user would."""
    from olrl.run_command import run_and_tell

    config = RunConfig(
        stream="builtin:drift",
        controller="policy",
        policy=str(out / "train" / "policy"),
        rounds=ROUNDS,
        seed=seed,
        out=out / "run",
    )
    code = run_and_tell(config)
    if code:
        sys.exit(code)


if __name__ == "__main__":
    main()
