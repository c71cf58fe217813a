from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.logger import Figure, configure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from olrl.agents.evaluation.compare import CompareConfig, Outcome
from olrl.agents.evaluation.events import write_summary
from olrl.agents.evaluation.jobs import Job, StreamRef
from olrl.agents.evaluation.play import Trace
from olrl.agents.ppo.episode_figure import episode_figure
from olrl.analysis.style import panels, save
from olrl.control.decision import Base

ROUNDS = 6


def trace(loss: float) -> Trace:
    given: dict[str, Any] = {
        "loss_bpb": (loss,) * ROUNDS,
        "n_bytes": (100,) * ROUNDS,
        "lr": (1e-3,) * ROUNDS,
        "batch_size": (8,) * ROUNDS,
        "window": (8,) * ROUNDS,
        "update": (True,) * ROUNDS,
        "updates": (5,) * ROUNDS,
        "spent": (60.0,) * ROUNDS,
        "alarms": ((), ("adwin",), (), (), (), ()),
        "guard": (None,) * ROUNDS,
        "source": ("mail",) * 3 + ("news",) * 3,
        "segment": (0,) * 3 + (1,) * 3,
    }
    return Trace(**given, signal_examples=0, seconds=1.0, diverged=False)


def job(entrant: str, mult: float) -> Job:
    return Job(
        entrant=entrant,
        stream=StreamRef(name="abrupt-0", kind="abrupt"),
        model="pico",
        base=Base(lr=1e-3 * mult),
        fixed=None,
        base_lr_mult=mult,
        policy="default",
        seed=0,
        rounds=ROUNDS,
    )


def outcome() -> Outcome:
    runs = (
        (job("fixed", 1.0), trace(9.0)),
        (job("policy", 8.0), trace(5.0)),
        (job("policy", 1.0), trace(3.0)),
    )
    config = CompareConfig(controllers=("fixed", "policy"))
    return Outcome(
        config=config, base=Base(lr=1e-3), runs=runs, policy_seeds={}, versions={}, corpus_sha256=None
    )


def test_the_figure_is_of_the_policy_from_the_right_base_with_drift_and_segments() -> None:
    figure = episode_figure(outcome())
    loss = figure.axes[0]
    drawn = [line.get_ydata() for line in loss.lines if np.size(line.get_xdata()) == ROUNDS]
    assert drawn
    assert all(np.asarray(values) == pytest.approx(np.full(ROUNDS, 3.0)) for values in drawn)
    assert "drift alarm" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert {text.get_text() for text in loss.texts} == {"mail", "news"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorboard")
def test_it_is_written_as_a_picture(tmp_path: Path) -> None:
    logger = configure(str(tmp_path), ["tensorboard"])
    logger.record("validation/episode", Figure(episode_figure(outcome()), close=False), exclude=("stdout",))
    logger.dump(7)
    logger.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [image.step for image in events.Images("validation/episode")] == [7]


def test_a_comparison_shows_its_figures_and_tables(tmp_path: Path) -> None:
    figure, _ = panels((1.0,))
    path = save(figure, tmp_path / "figures" / "loss.png")
    write_summary(tmp_path / "events", "# Comparison\n\n| a |\n|---|\n\n![loss](figures/loss.png)\n", [path])
    events = EventAccumulator(str(tmp_path / "events")).Reload()
    assert events.Images("figures/loss")[0].encoded_image_string == path.read_bytes()
    assert b"| a |" in events.Tensors("comparison")[0].tensor_proto.string_val[0]
    assert b"![" not in events.Tensors("comparison")[0].tensor_proto.string_val[0]
