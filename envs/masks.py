"""Signals taken away at random, so that a policy learns to do without what another loop cannot measure."""

import numpy as np

# What is missing together where it is missing at all: a user's own loop may lack gradients, per-sequence
# losses, the losses on old chunks, or the tokens.
MASK_GROUPS: tuple[frozenset[str], ...] = (
    frozenset({"grad_norm", "grad_snr", "grad_cos"}),
    frozenset({"grad_snr"}),
    frozenset({"grad_cos"}),
    frozenset({"update_ratio"}),
    frozenset({"train_loss_nats"}),
    frozenset({"loss_std"}),
    frozenset({"old_new_gap"}),
    frozenset({"hist_shift", "hist_shift_last"}),
)


def draw_masks(rng: np.random.Generator, probability: float) -> frozenset[str]:
    """Names of missing signals, each group of them missing with the given probability.

    >>> draw_masks(np.random.default_rng(0), 0.0)
    frozenset()
    """
    missing = rng.random(len(MASK_GROUPS)) < probability
    return frozenset().union(*(group for group, gone in zip(MASK_GROUPS, missing, strict=True) if gone))
