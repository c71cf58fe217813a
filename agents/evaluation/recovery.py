"""How soon after a true change a run's loss is where it will settle, and how much of the stream was trained on."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .play import Trace

WITHIN = 0.02  # of the floor
SETTLED_SHARE = 1 / 3  # of a segment, at its end: what the floor is the mean of
MIN_ROUNDS = 6  # of a segment whose floor is worth the name
SMOOTH_ROUNDS = 3  # a single easy chunk is no recovery


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """What followed one true change: its round, the segment's floor (bits a byte), and bytes until near it."""

    round: int
    floor_bpb: float
    n_bytes: int


def recoveries(trace: Trace) -> list[Recovery]:
    """Recovery after each true change of a run, from the second segment on.

    The floor of a segment is the byte-weighted mean loss over its last third, the run's own: an entrant that never
    learns "recovers" at once, to a bad floor, so read it beside the loss. Recovery is counted in bytes from the
    change to the end of the first three rounds in a row whose mean loss is within 2 % of the floor; the floor's own
    rounds end the search, so every segment has one. Segments of fewer than 6 rounds are left out.
    """
    segments = np.asarray(trace.segment)
    changes = [*(np.flatnonzero(np.diff(segments)) + 1).tolist(), len(segments)]
    return [_recovery(trace, a, b) for a, b in pairwise(changes) if b - a >= MIN_ROUNDS]


def _recovery(trace: Trace, start: int, stop: int) -> Recovery:
    loss, size = np.array(trace.loss_bpb[start:stop]), np.array(trace.n_bytes[start:stop])
    settled = int(np.ceil(len(loss) * (1 - SETTLED_SHARE)))
    floor = float(np.average(loss[settled:], weights=size[settled:]))
    windows = np.lib.stride_tricks.sliding_window_view(loss * size, SMOOTH_ROUNDS).sum(axis=-1)
    weights = np.lib.stride_tricks.sliding_window_view(size, SMOOTH_ROUNDS).sum(axis=-1)
    near = np.flatnonzero(windows / weights <= (1 + WITHIN) * floor)
    until = min(int(near[0]) if len(near) else settled, settled)
    return Recovery(round=int(start), floor_bpb=floor, n_bytes=int(size[: until + SMOOTH_ROUNDS].sum()))


def recovery_bytes(trace: Trace) -> float | None:
    """Mean bytes until recovery over a run's changes; None where there is none to measure."""
    found = recoveries(trace)
    return float(np.mean([recovery.n_bytes for recovery in found])) if found else None


def updated_share(trace: Trace) -> float:
    """Share of rounds with at least one update, 0 to 1."""
    return float(np.mean([updates > 0 for updates in trace.updates]))
