"""What a policy does where the loss rises and where steps overshoot, as maps."""

from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from olrl.analysis import style
from olrl.control.decision import Base
from olrl.control.policy import FrozenPolicy
from olrl.monitor.feature_table import INPUTS, ROW

STEADY_ROUNDS, NOISE = 60, 0.03
BASE = Base(lr=1e-3, batch_size=8, window=8)


@dataclass(frozen=True, kw_only=True)
class PolicyMap:
    """What a policy decides over a grid; every array has shape (cosines, rises).

    `rises` are relative rises of the loss in the last three rounds, `cosines` the cosine of minus the gradient with
    the last move. Of each knob the mean move under the policy's probabilities: factors of two for rate and batch
    size, places of the ladder for the window, and the probability to train. `likeliest` is the rate's move that is
    taken.
    """

    rises: NDArray[np.float64]
    cosines: NDArray[np.float64]
    moves: dict[str, NDArray[np.float64]]
    likeliest: NDArray[np.float64]


def policy_map(policy: FrozenPolicy, *, size: int = 21, price: float = 0.0, seed: int = 0) -> PolicyMap:
    """The map of a policy, from signals as a learner would give them: features hang together as they do in a run.

    Each of size² learners runs at the base for sixty rounds with a loss of 2 nats and 3 % of noise, and a gradient
    cosine of its own; in the last three rounds its loss rises by its own factor. All else is ordinary: the median
    of what the features expect, and no alarm.
    """
    rises, cosines = np.linspace(0.0, 0.6, size), np.linspace(-0.8, 0.8, size)
    grid_cos, grid_rise = (axis.ravel() for axis in np.meshgrid(cosines, rises, indexing="ij"))
    n, chance = len(grid_cos), np.random.default_rng(seed)
    features = policy.features.extractor([BASE] * n)
    observation = np.empty((0, 0), dtype=np.float32)
    signals = _ordinary(n, price)
    for k in range(STEADY_ROUNDS):
        noise = chance.normal(scale=NOISE)  # one luck for all: the map shows the policy, not chance
        risen = 1.0 + grid_rise * (k >= STEADY_ROUNDS - 3)
        signals[ROW["loss_nats"]] = 2.0 * risen * np.exp(noise)
        signals[ROW["train_loss_nats"]] = 2.0 * np.exp(noise)
        signals[ROW["loss_std"]] = 0.4 * np.exp(chance.normal(scale=NOISE))
        signals[ROW["grad_cos"]] = np.clip(grid_cos + chance.normal(scale=0.05), -1, 1)
        signals[ROW["rounds_since_alarm"]] = k
        observation = features.update(signals)
    return _map(policy, observation, signals, rises, cosines)


def _ordinary(n: int, price: float) -> NDArray[np.float64]:
    values = {
        "lr": BASE.lr, "batch_size": BASE.batch_size, "window": BASE.window, "updates": 5, "nonfinite": 0,
        "spent": 60.0, "budget": 64.0, "update_cost": 4.0, "price": price, "alarms": 0, "gradient_age": 0,
        "grad_norm": 1.0, "grad_snr": 0.02, "update_ratio": 0.01, "old_new_gap": 0.0, "hist_shift": 0.3,
        "hist_shift_last": 0.3,
    }  # fmt: skip
    signals = np.full((len(INPUTS), n), np.nan)
    for name, value in values.items():
        signals[ROW[name]] = value
    return signals


def _map(
    policy: FrozenPolicy,
    observation: NDArray[np.float32],
    signals: NDArray[np.float64],
    rises: NDArray[np.float64],
    cosines: NDArray[np.float64],
) -> PolicyMap:
    shape = (len(cosines), len(rises))
    taken = policy.act(observation)
    read = {name: signals[ROW[name]] for name in policy.coding.reads}
    heads = {"lr": 0, "batch_size": 1, "window": 2, "update": len(policy.coding.nvec) - 1}
    moves = {
        name: sum(
            chance * _move(policy, taken, read, head, choice)
            for choice, chance in enumerate(_chances(policy, observation, head).T)
        )
        for name, head in heads.items()
    }
    return PolicyMap(
        rises=rises,
        cosines=cosines,
        moves={name: np.asarray(values, dtype=np.float64).reshape(shape) for name, values in moves.items()},
        likeliest=_move(policy, taken, read, 0, None).reshape(shape),
    )


def _chances(policy: FrozenPolicy, observation: NDArray[np.float32], head: int) -> NDArray[np.float64]:
    """Probabilities of a head's choices, (n, choices); of a policy with joint values, 1 for what it takes."""
    choices = policy.coding.nvec
    if policy.output == "joint":
        return np.asarray(np.eye(choices[head])[policy.act(observation)[:, head]])
    end = int(np.cumsum(choices)[head])
    logits = policy.logits(observation)[:, end - choices[head] : end].astype(np.float64)
    likely = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(likely / likely.sum(axis=1, keepdims=True))


def _move(
    policy: FrozenPolicy,
    taken: NDArray[np.int64],
    read: dict[str, NDArray[np.float64]],
    head: int,
    choice: int | None,
) -> NDArray[np.float64]:
    """How far a knob goes from the base under a choice (None: the one taken), shape (n,)."""
    actions = taken.copy()
    if choice is not None:
        actions[:, head] = choice
    state = policy.coding.start_at([BASE] * len(actions))
    before = state.window.copy()
    decisions = policy.coding.apply(state, actions, read)
    if head == 0:
        return np.asarray(np.log2(decisions.lr / BASE.lr))
    if head == 1:
        return np.asarray(np.log2(decisions.batch_size / BASE.batch_size))
    return np.asarray((state.window - before if head == 2 else decisions.update).astype(np.float64))


def figure_policy(found: PolicyMap, *, title: str = "") -> Figure:
    """Four maps: mean move of rate, batch size and window, and the probability to train."""
    figure = Figure(figsize=(10.0, 7.6), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True, sharey=True).ravel()
    names = {
        "lr": "learning rate, factors of two",
        "batch_size": "batch size, factors of two",
        "window": "window, places of the ladder",
        "update": "probability to train",
    }
    for ax, (knob, name) in zip(axes, names.items(), strict=True):
        values = found.moves[knob]
        reach = max(float(np.abs(values).max()), 1.0)
        span = {"vmin": 0.0, "vmax": 1.0, "cmap": "viridis"} if knob == "update" else {
            "vmin": -reach, "vmax": reach, "cmap": "RdBu_r",
        }  # fmt: skip
        drawn = ax.pcolormesh(100 * found.rises, found.cosines, values, shading="nearest", **span)
        ax.set_title(name, fontsize=10, loc="left")
        ax.axhline(0, color=style.DARK, linewidth=0.6, linestyle=":")
        figure.colorbar(drawn, ax=ax).ax.tick_params(labelsize=8)
    levels = sorted(set(found.likeliest.ravel().tolist()))
    if len(levels) > 1:
        edges = [(a + b) / 2 for a, b in pairwise(levels)]
        axes[0].contour(
            100 * found.rises, found.cosines, found.likeliest, levels=edges, colors=style.BLACK, linewidths=1
        )
    for ax in axes[2:]:
        ax.set_xlabel("rise of the loss over the last three rounds, %", fontsize=9)
    for ax in axes[::2]:
        ax.set_ylabel("cosine of −gradient with the last move\n(below 0: steps overshoot)", fontsize=9)
    figure.suptitle(
        title or "Mean move at the base (black: where the rate's likeliest move changes)", fontsize=11
    )
    return figure


def policy_picture(policy: FrozenPolicy, *, price: float = 0.0, dpi: int = 110) -> bytes:
    """The maps of a policy as a PNG file; takes about half a second."""
    figure, file = figure_policy(policy_map(policy, price=price)), BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(file, format="png", dpi=dpi, facecolor="white")
    return file.getvalue()


def save_policy_figure(policy: FrozenPolicy, path: Path, *, price: float = 0.0) -> Path:
    """Write the maps of a policy; ValueError unless `path` is a PNG, SVG or PDF."""
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise ValueError(f"--figure writes .png, .svg or .pdf, not {path.name!r}")
    figure = figure_policy(policy_map(policy, price=price))
    FigureCanvasAgg(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, facecolor="white")
    return path
