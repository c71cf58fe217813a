"""Where n surrogates stand, as arrays for compiled loops: streams, memories, learners, detectors and signals."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from olrl.control.decision import Base
from olrl.memory import MAX_WINDOW
from olrl.monitor.detectors import KEEP

from .normal_rows import TABLE
from .quadratic_problem import BUDGET, CHUNK, DETECTORS, RESERVOIR, QuadraticProblem

RING = MAX_WINDOW * CHUNK  # examples in the sliding window
REMEMBERED = 2 * KEEP  # innovations, after which a detector starts anew from the newer half
Array = NDArray[np.float64]
Ints = NDArray[np.int64]

SIGNALS = (
    *("loss_nats", "loss_std", "old_new_gap", "alarms", "rounds_since_alarm"),
    *("train_loss_nats", "grad_norm", "grad_snr", "grad_cos", "update_ratio"),
    *("gradient_age", "updates", "spent", "nonfinite"),
    *("lr", "batch_size", "window", "budget", "update_cost", "price"),
)
ROW = {name: row for row, name in enumerate(SIGNALS)}


# Scalars are records and vectors lie side by side, since a compiled function pays for every array that it is given.
TASK = np.dtype(
    [
        ("seed", np.uint64),
        ("width", np.int64),  # of an example: d targets and a floor
        ("chunks", np.int64),  # seen by the memory
        ("t", np.int64),  # the round
        ("floor", np.float64),
        ("reference_nats", np.float64),  # of the chunk observed last
    ]
)
LEARNER = np.dtype(
    [
        ("dimension", np.int64),
        ("sgd", np.int64),
        ("bulk_size", np.float64),
        ("bulk_noise", np.float64),
        *(
            ("lr", np.float64),
            ("batch_size", np.int64),
            ("window", np.int64),
            ("steps", np.int64),
        ),  # in force
        *(("power1", np.float64), ("power2", np.float64)),  # AdamW's decays to the power of the steps taken
        *(
            ("moved", np.int64),
            ("last_bulk", np.float64),
        ),  # whether there is a last move, and its part in the bulk
    ]
)
PARAMETERS, CURVATURE, FIRST, SECOND, LAST_MOVE = range(5)  # a learner's vectors


class Surrogates(NamedTuple):
    """n surrogates, of dimensions up to D, for episodes of T chunks: all that a round reads and changes.

    Learners are 2n, the second half of them references; what holds for a reference's round is always the same. One
    memory serves both. Examples are packed, d targets and a floor each and the next one right behind: what is drawn
    from many thousands should at least lie close together. Memory that no episode needs is never touched.
    """

    tasks: NDArray[np.void]  # (n,) of TASK
    learners: NDArray[np.void]  # (2n,) of LEARNER
    vectors: Array  # (2n, 5, D), zero beyond a dimension
    signals: Array  # (SIGNALS, n), NaN where missing
    chunk: NDArray[np.float32]  # (n, CHUNK · (D + 1)): observed last
    held: NDArray[np.float32]  # (n, slots · (D + 1)): a ring of the newest 64 chunks, then the reservoir
    optima: Array  # (n, T, D)
    rounds: Array  # (n, T, 2): standard deviation of the noise, and log floor
    number: NDArray[np.int32]  # (n, T, CHUNK): the documents of the examples
    scales: Array  # (n, 2, D): size of documents' offsets, and 1 over the root of the curvature
    places: NDArray[np.int32]  # (n, most, 2): of documents
    floors: Array  # (n, most, 2): log floor of a document, and its spread
    table: NDArray[np.float32]  # of `normal_rows`
    detectors: "Detectors"


class Detectors(NamedTuple):
    """The innovations of n losses, and the detectors of `DETECTORS` that watch them."""

    innovations: Array  # (n, 7): the state of `Innovations`
    page_hinkley: Array  # (n, detectors, 6): count, mean, sum of rises, its minimum, of falls, its maximum
    history: Array  # (n, detectors, REMEMBERED)
    remembered: Ints  # (n, detectors)


def empty_surrogates(n: int, *, dimension: int, rounds: int) -> Surrogates:
    """Room for n surrogates of up to this dimension, for episodes of so many rounds."""
    t, width, most = rounds + 1, dimension + 1, (rounds + 1) * CHUNK + 1
    return Surrogates(
        tasks=np.zeros(n, dtype=TASK),
        learners=np.zeros(2 * n, dtype=LEARNER),
        vectors=np.zeros((2 * n, 5, dimension)),
        signals=np.full((len(SIGNALS), n), np.nan),
        chunk=np.zeros((n, CHUNK * width), dtype=np.float32),
        held=np.zeros((n, (RING + RESERVOIR) * width), dtype=np.float32),
        optima=np.zeros((n, t, dimension)),
        rounds=np.zeros((n, t, 2)),
        number=np.zeros((n, t, CHUNK), dtype=np.int32),
        scales=np.zeros((n, 2, dimension)),
        places=np.zeros((n, most, 2), dtype=np.int32),
        floors=np.zeros((n, most, 2)),
        table=TABLE,
        detectors=Detectors(
            innovations=np.zeros((n, 7)),
            page_hinkley=np.zeros((n, len(DETECTORS), 6)),
            history=np.zeros((n, len(DETECTORS), REMEMBERED)),
            remembered=np.zeros((n, len(DETECTORS)), dtype=np.int64),
        ),
    )


def put_problem(state: Surrogates, i: int, problem: QuadraticProblem) -> None:
    """Put a problem and fresh learners for it into place `i`."""
    n, d, documents, base = len(state.tasks), problem.dimension, problem.documents, problem.base
    state.tasks[i] = (problem.seed, d + 1, 0, 0, problem.floor, np.nan)
    state.optima[i, :, :d], state.number[i] = problem.optima, documents.number
    state.rounds[i, :, 0], state.rounds[i, :, 1] = problem.noise_std, problem.path.log_floor
    state.scales[i, 0, :d], state.scales[i, 1, :d] = documents.size, 1.0 / np.sqrt(problem.curvature)
    state.places[i, : len(documents.places)] = documents.places
    state.floors[i, : len(documents.places), 0] = documents.log_floor
    state.floors[i, : len(documents.places), 1] = documents.spread
    _put_learner(state, i, problem, base, steps=0)
    _put_learner(
        state, n + i, problem, problem.reference, steps=problem.cost.updates(problem.reference.batch_size)
    )
    for array in state.detectors:
        array[i] = 0
    state.signals[:, i] = np.nan
    known = {"lr": base.lr, "batch_size": base.batch_size, "window": base.window, "budget": BUDGET}
    known |= {"price": problem.price, "update_cost": problem.cost.update_cost}
    known |= {"updates": 0, "spent": 0, "nonfinite": 0, "rounds_since_alarm": 0}
    for name, value in known.items():
        state.signals[ROW[name], i] = value


def _put_learner(state: Surrogates, i: int, problem: QuadraticProblem, at: Base, *, steps: int) -> None:
    d, sgd, bulk = problem.dimension, problem.optimizer == "sgd", problem.bulk
    in_force = (at.lr, at.batch_size, at.window, steps)
    state.learners[i] = (d, sgd, bulk.size, bulk.noise, *in_force, 1.0, 1.0, False, 0.0)
    state.vectors[i] = 0.0
    state.vectors[i, PARAMETERS, :d], state.vectors[i, CURVATURE, :d] = problem.start, problem.curvature
