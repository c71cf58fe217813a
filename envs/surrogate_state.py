"""Where n surrogates stand, as arrays for compiled loops: streams, memories, learners, detectors and signals."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from olrl.memory import MAX_WINDOW
from olrl.monitor.detectors import KEEP

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


class Streams(NamedTuple):
    """What problems draw their chunks from: the fields of `QuadraticProblem` and of its documents.

    `width` (n,) is the length of an example: d targets and a floor. `chunk` (n, CHUNK · largest width) holds the
    chunk observed last, an example of that length after the other. Memory that no episode needs is never touched.
    """

    seed: NDArray[np.uint64]
    width: Ints
    chunk: NDArray[np.float32]
    inverse_root: Array  # of the curvature, (n, d)
    optima: Array  # (n, T, d)
    noise_std: Array  # (n, T)
    log_floor: Array  # (n, T)
    floor: Array
    number: NDArray[np.int32]  # (n, T, CHUNK)
    places: NDArray[np.int32]  # of documents, (n, most, 2)
    size: Array  # of their offsets, (n, d)
    document_log_floor: Array  # (n, most)
    spread: Array


class Memories(NamedTuple):
    """Sliding windows and reservoirs as `olrl.memory.Memory` keeps them, one for a learner and its reference.

    A row of `examples` holds the ring of the newest 64 chunks and then the reservoir, packed as in a chunk: what
    is drawn from many thousands of examples should at least lie close together.
    """

    seed: NDArray[np.uint64]
    width: Ints
    examples: NDArray[np.float32]  # (n, slots · largest width)
    chunks: Ints  # seen so far


class Learners(NamedTuple):
    """2n quadratic learners, the second half of them references; vectors (2n, d), zero beyond a dimension.

    `lr`, `batch_size`, `window` and `steps` are what holds for the round: for references always the same.
    """

    dimension: Ints
    parameters: Array
    curvature: Array
    first: Array
    second: Array
    last_move: Array
    moved: NDArray[np.bool_]  # whether there is a last move
    last_bulk: Array
    bulk_size: Array
    bulk_noise: Array
    sgd: NDArray[np.bool_]
    powers: Array  # (2n, 2): AdamW's decays to the power of the steps taken
    lr: Array
    batch_size: Ints
    window: Ints
    steps: Ints


class Detectors(NamedTuple):
    """The innovations of n losses, and the detectors of `DETECTORS` that watch them."""

    innovations: Array  # (n, 7): the state of `Innovations`
    page_hinkley: Array  # (n, detectors, 6): count, mean, sum of rises, its minimum, of falls, its maximum
    history: Array  # (n, detectors, REMEMBERED)
    remembered: Ints  # (n, detectors)


class Surrogates(NamedTuple):
    """All that a round reads and changes; `signals` (signals, n) are NaN where missing, `t` (n,) the rounds."""

    streams: Streams
    memories: Memories
    learners: Learners
    detectors: Detectors
    signals: Array
    reference_nats: Array
    t: Ints


def empty_surrogates(n: int, *, dimension: int, rounds: int) -> Surrogates:
    """Room for n surrogates of up to this dimension, for episodes of so many rounds."""
    t, width = rounds + 1, dimension + 1
    seed, widths = np.zeros(n, dtype=np.uint64), np.zeros(n, dtype=np.int64)
    return Surrogates(
        streams=Streams(
            seed=seed,
            width=widths,
            chunk=np.zeros((n, CHUNK * width), dtype=np.float32),
            inverse_root=np.zeros((n, dimension)),
            optima=np.zeros((n, t, dimension)),
            noise_std=np.zeros((n, t)),
            log_floor=np.zeros((n, t)),
            floor=np.zeros(n),
            number=np.zeros((n, t, CHUNK), dtype=np.int32),
            places=np.zeros((n, t * CHUNK + 1, 2), dtype=np.int32),
            size=np.zeros((n, dimension)),
            document_log_floor=np.zeros((n, t * CHUNK + 1)),
            spread=np.zeros((n, t * CHUNK + 1)),
        ),
        memories=Memories(
            seed=seed,
            width=widths,
            examples=np.zeros((n, (RING + RESERVOIR) * width), dtype=np.float32),
            chunks=np.zeros(n, dtype=np.int64),
        ),
        learners=_empty_learners(2 * n, dimension),
        detectors=Detectors(
            innovations=np.zeros((n, 7)),
            page_hinkley=np.zeros((n, len(DETECTORS), 6)),
            history=np.zeros((n, len(DETECTORS), REMEMBERED)),
            remembered=np.zeros((n, len(DETECTORS)), dtype=np.int64),
        ),
        signals=np.full((len(SIGNALS), n), np.nan),
        reference_nats=np.zeros(n),
        t=np.zeros(n, dtype=np.int64),
    )


def _empty_learners(n: int, dimension: int) -> Learners:
    def numbers() -> Array:
        return np.zeros(n)

    def vectors() -> Array:
        return np.zeros((n, dimension))

    def counts() -> Ints:
        return np.zeros(n, dtype=np.int64)

    return Learners(
        dimension=counts(),
        parameters=vectors(),
        curvature=vectors(),
        first=vectors(),
        second=vectors(),
        last_move=vectors(),
        moved=np.zeros(n, dtype=bool),
        last_bulk=numbers(),
        bulk_size=numbers(),
        bulk_noise=numbers(),
        sgd=np.zeros(n, dtype=bool),
        powers=np.ones((n, 2)),
        lr=numbers(),
        batch_size=counts(),
        window=counts(),
        steps=counts(),
    )


def put_problem(state: Surrogates, i: int, problem: QuadraticProblem) -> None:
    """Put a problem and fresh learners for it into place `i`."""
    n, reference = len(state.t), problem.reference
    _put_stream(state.streams, i, problem)
    state.memories.chunks[i] = 0
    for place in (i, n + i):
        put_learner(state.learners, place, problem)
    state.learners.lr[n + i], state.learners.batch_size[n + i] = reference.lr, reference.batch_size
    state.learners.window[n + i] = reference.window
    state.learners.steps[n + i] = problem.cost.updates(reference.batch_size)
    state.learners.window[i] = problem.base.window
    for array in state.detectors:
        array[i] = 0
    state.signals[:, i] = np.nan
    for name in ("updates", "spent", "nonfinite", "rounds_since_alarm"):
        state.signals[ROW[name], i] = 0.0
    at = problem.base
    for name, value in (("lr", at.lr), ("batch_size", at.batch_size), ("window", at.window)):
        state.signals[ROW[name], i] = value
    state.signals[ROW["budget"], i], state.signals[ROW["price"], i] = BUDGET, problem.price
    state.signals[ROW["update_cost"], i] = problem.cost.update_cost
    state.t[i] = 0


def _put_stream(streams: Streams, i: int, problem: QuadraticProblem) -> None:
    d, documents = problem.dimension, problem.documents
    n = len(documents.places)
    streams.seed[i], streams.width[i], streams.floor[i] = problem.seed, d + 1, problem.floor
    streams.inverse_root[i, :d] = 1.0 / np.sqrt(problem.curvature)
    streams.optima[i, :, :d], streams.noise_std[i] = problem.optima, problem.noise_std
    streams.log_floor[i], streams.number[i] = problem.path.log_floor, documents.number
    streams.places[i, :n], streams.size[i, :d] = documents.places, documents.size
    streams.document_log_floor[i, :n], streams.spread[i, :n] = documents.log_floor, documents.spread


def put_learner(learners: Learners, i: int, problem: QuadraticProblem) -> None:
    """Put a fresh learner of a problem into place `i`."""
    d = problem.dimension
    for vectors in (learners.first, learners.second, learners.last_move):
        vectors[i] = 0.0
    learners.dimension[i], learners.powers[i], learners.moved[i] = d, 1.0, False
    learners.parameters[i, :d], learners.curvature[i, :d] = problem.start, problem.curvature
    learners.bulk_size[i], learners.bulk_noise[i] = problem.bulk.size, problem.bulk.noise
    learners.last_bulk[i], learners.sgd[i] = 0.0, problem.optimizer == "sgd"
