"""An Optuna study in a folder: what the trials so far were, as the samplers want to know it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..rivals.samplers import unit_cube
from .trial import Trial

if TYPE_CHECKING:
    import optuna
    from optuna.storages import JournalStorage

NAME = "search"
WORST = (
    1.25  # of the base's loss: how much worse than that a configuration is teaches a model of losses nothing
)


def open_storage(path: Path) -> JournalStorage:
    """Optuna's journal in a file: lines of JSON, so that nothing is unpickled when a search goes on."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    from .calm_lock import CalmLock

    _drop_torn_line(path)
    return JournalStorage(JournalFileBackend(str(path), CalmLock(str(path))))


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line that a full disk has left half written: the study catches up with the log."""
    if path.is_file() and (lines := path.read_bytes()) and not lines.endswith(b"\n"):
        os.truncate(path, lines.rfind(b"\n") + 1)


def open_study(storage: JournalStorage) -> optuna.Study:
    """The study of a storage; trials that a kill has left half-way are given up."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(storage=storage, study_name=NAME, load_if_exists=True)
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return study


def told_loss(trial: Trial, known: Sequence[Trial]) -> float:
    """What a sampler is told of a trial, given those before it, the base first: bits a byte.

    Optuna's Gaussian process learns nothing of trials that were stopped early, and half of all are; so it is told
    what such a trial would have come to, had its loss gone on like that of the trials that were not stopped.
    And no loss is told as more than `WORST` times the base's: one learner that was lost would else make all the
    others look alike.
    """
    loss = trial.loss_bpb
    if trial.state == "pruned":
        gone_on = [
            other.loss_bpb / other.losses[trial.rounds]
            for other in known
            if other.state == "complete" and trial.rounds in other.losses
        ]
        loss *= sum(gone_on) / len(gone_on) if gone_on else 1.0
    return min(loss, WORST * known[0].loss_bpb) if known else loss


def catch_up(study: optuna.Study, known: Sequence[Trial], *, axis: Callable[[str], str] = str) -> None:
    """Tell a study of the trials that it has not heard of; `axis` names a setting in it.

    That is the base, which it did not propose, and one that was logged when a kill or Ctrl-C came.
    """
    import optuna

    heard = len(study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)))
    for number, trial in enumerate(known[heard:], start=heard):
        places = {axis(name): place for name, place in trial.places.items()}
        study.add_trial(
            optuna.trial.create_trial(
                params=dict(places),
                distributions=unit_cube(places),
                value=told_loss(trial, known[:number]),
                intermediate_values=dict(trial.losses),
            )
        )
