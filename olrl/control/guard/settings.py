"""When each layer of the guard steps in."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class GuardSettings:
    """When the guard steps in.

    Bounds of a round's change:
        lr_up, lr_down: the learning rate rises or falls by at most these factors, at least 2.
        batch_step: the batch size changes by at most this factor, at least 2.
        window_steps: the window moves by at most so many steps of its ladder, at least 1.
    Loss:
        loss_deviations: a loss so many robust standard deviations (1.4826 times the median absolute deviation)
            above the median of the last 20 healthy ones is rejected, above 0 …
        loss_ratio: … if it is also above this multiple of that median, above 1. A rejection by itself changes
            nothing: it costs a pass over the chunk under the last good weights.
        outlier_ratio: above this multiple, above 1, a rejected loss that is not the weights' fault is not trained
            on; below, it is taken for a change of the stream, which is the controller's affair: into an unknown
            language a loss rises to 5.4 times the usual (training streams of `pico` and `nano`).
        new_level: so many rejections in a row are a new level, not trouble, at least 2.
    Fallback and rollback:
        hold: rounds in the wake of a rollback or of a number that is not finite that stay under the fallback,
            and in the wake of a rate that would have leapt in which the last good weights are asked, at least 1.
        weights_ratio: a rejected loss above so many times that of the last good weights on the same chunk is
            the weights' fault, above 1.
        snapshots: last good states that are kept in memory, each as large as weights and optimizer; 0: none, and
            nothing is rolled back.
        snapshot_every: healthy rounds from one to the next, at least 1.
    Range:
        enter: rounds in a row out of the policy's training range until the fallback is in force, at least 1.
        leave: rounds in a row inside of it until the policy is trusted again, at least 1.
        forget: rounds in a row outside of it after which what is usual is learnt anew, at least 1.
        frozen: rounds in a row in which a signal is the same to the last bit, at least 2.
    """

    lr_up: float = 8.0
    lr_down: float = 64.0
    batch_step: float = 16.0
    window_steps: int = 6
    loss_deviations: float = 3.0
    loss_ratio: float = 1.15
    outlier_ratio: float = 10.0
    new_level: int = 3
    hold: int = 5
    weights_ratio: float = 1.1
    snapshots: int = 3
    snapshot_every: int = 5
    enter: int = 2
    leave: int = 5
    forget: int = 8
    frozen: int = 4

    def __post_init__(self) -> None:
        above = {"loss_ratio": 1.0, "weights_ratio": 1.0, "loss_deviations": 0.0, "outlier_ratio": 1.0}
        for name, low in above.items():
            if not low < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a number above {low:g}, not {getattr(self, name)!r}")
        least = {"lr_up": 2, "lr_down": 2, "batch_step": 2, "window_steps": 1, "new_level": 2, "hold": 1}
        least |= {"snapshots": 0, "snapshot_every": 1, "enter": 1, "leave": 1, "forget": 1, "frozen": 2}
        for name, fewest in least.items():
            if not fewest <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least {fewest}, not {getattr(self, name)!r}")
