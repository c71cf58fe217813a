"""Policies with random weights, for tests."""

from itertools import pairwise

import numpy as np

from olrl.control.actions import action_coding
from olrl.control.policy import QUANTILES, FrozenPolicy
from olrl.monitor.feature_spec import FEATURE_NAMES


def random_policy(
    coding: str = "moves", *, hidden: tuple[int, ...] = (32, 16), seed: int = 0
) -> FrozenPolicy:
    rng = np.random.default_rng(seed)
    chosen = action_coding(coding)
    sizes = [len(FEATURE_NAMES), *hidden, sum(chosen.nvec)]
    layers = [
        (
            (rng.standard_normal((outputs, inputs)) / np.sqrt(inputs)).astype(np.float32),
            rng.standard_normal(outputs).astype(np.float32) / np.float32(10),
        )
        for inputs, outputs in pairwise(sizes)
    ]
    return FrozenPolicy(
        layers=layers,
        mean=rng.standard_normal(sizes[0]) / 4,
        std=rng.uniform(0.5, 2.0, sizes[0]),
        coding=chosen,
        quantiles=np.sort(rng.standard_normal((sizes[0], len(QUANTILES))), axis=1),
        versions={"olrl": "0.1.0"},
        training={"seed": seed, "recipe": "random weights"},
        card="# A policy\n",
    )
