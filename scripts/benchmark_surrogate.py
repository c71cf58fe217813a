#!/usr/bin/env python
"""How many steps a second the vectorised surrogate takes, and where the time goes.

Times are processor seconds of one thread, so that other work on the machine does not count. Actions are moves
at random, mostly "stay".
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when numpy is imported

import argparse
import cProfile
import pstats
import time

import numpy as np
from numpy.typing import NDArray

from olrl.envs.drifting_quadratic_vec import DriftingQuadraticVecEnv


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=128, help="environments stepped at once")
    parser.add_argument("--steps", type=int, default=300, help="steps of each (an episode has 300)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--profile", action="store_true", help="also print the costliest functions")
    args = parser.parse_args()
    envs = DriftingQuadraticVecEnv(args.instances)
    envs.seed(args.seed)
    started = time.process_time()
    envs.reset()
    print(f"reset: {(time.process_time() - started) / args.instances * 1e3:.2f} ms an episode")
    moves = _moves(np.random.default_rng(args.seed), args.steps, args.instances)
    started, ended = time.process_time(), 0
    for actions in moves:
        ended += int(envs.step(actions)[2].sum())
    seconds = time.process_time() - started
    print(
        f"{moves.shape[0] * moves.shape[1] / seconds:,.0f} steps a second, {ended} episodes begun anew among them"
    )
    if args.profile:
        _profile(envs, moves)


def _moves(rng: np.random.Generator, steps: int, instances: int) -> NDArray[np.int64]:
    moves = rng.choice(3, size=(steps, instances, 4), p=(0.15, 0.7, 0.15))
    moves[..., 3] = rng.random((steps, instances)) < 0.9
    return moves


def _profile(envs: DriftingQuadraticVecEnv, moves: NDArray[np.int64]) -> None:
    profile = cProfile.Profile()
    profile.enable()
    for actions in moves:
        envs.step(actions)
    profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(15)


if __name__ == "__main__":
    main()
