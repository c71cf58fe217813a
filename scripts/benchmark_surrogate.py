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
    parser.add_argument("--threads", type=int, default=1, help="with more, look at the clock on the wall")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--profile", action="store_true", help="also print the costliest functions")
    args = parser.parse_args()
    started = time.process_time()
    first = DriftingQuadraticVecEnv(1, rounds=300)
    first.reset()
    first.step(np.ones((1, 4), dtype=np.int64))
    print(f"compiled or read from the cache: {time.process_time() - started:.1f} s")
    envs = DriftingQuadraticVecEnv(args.instances, threads=args.threads)
    envs.seed(args.seed)
    started = time.process_time()
    envs.reset()
    print(f"reset: {(time.process_time() - started) / args.instances * 1e3:.2f} ms an episode")
    moves = _moves(np.random.default_rng(args.seed), args.steps, args.instances)
    for name in ("first", "second"):  # which no longer asks for memory
        started, wall, ended = time.process_time(), time.perf_counter(), 0
        for actions in moves:
            ended += int(envs.step(actions)[2].sum())
        seconds, wall = time.process_time() - started, time.perf_counter() - wall
        print(
            f"{name} time: {moves[..., 0].size / seconds:,.0f} steps a second of processor time, "
            f"{moves[..., 0].size / wall:,.0f} by the clock; {ended} episodes begun anew among them"
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
