"""Trials one after the other in this process, proposed by Optuna."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from olrl.control.decision import Base

from ..evaluation.jobs import Job, task_of
from ..rivals.constants import base_at, places_of_base
from ..rivals.samplers import sampler_of, seed_of, unit_cube
from ..rivals.space import Space
from .config import SearchConfig
from .study import add_finished, open_storage, open_study
from .trial import Trial, TrialLog, play_trial

if TYPE_CHECKING:
    import optuna

WARM_UP = 0.3  # share of a run that no trial is stopped in
UNSTOPPED = 5  # trials before which none is


def search_with_optuna(
    config: SearchConfig,
    job: Job,
    space: Space,
    base: Base,
    *,
    folder: Path,
    log: TrialLog,
    told: Callable[[Trial], None],
) -> None:
    """Make trials until `log` holds as many as were asked for, the base first; each is logged when it is over.

    What trial k proposes is decided by the seed, k and the trials before it, so that a search which was stopped
    goes on as it would have. A trial is stopped where its loss is above the median of the others' at that round.
    """
    study = open_study(open_storage(folder / "study.journal"))
    study.pruner = _pruner(config)
    cube = unit_cube(space)
    task = task_of(job, judged=False)
    if not log.trials:
        first = play_trial(task, base, number=0, places=places_of_base(space, base))
        add_finished(study, first, first.places)
        log.add(first)
        told(first)
    while len(log.trials) < config.trials:
        number = len(log.trials)
        study.sampler = sampler_of(config.sampler, seed=seed_of(config.seed, number))
        asked = study.ask(dict(cube))
        try:
            trial = play_trial(
                task,
                base_at(space, asked.params),
                number=number,
                places=asked.params,
                keep_going=_keep_going(asked, config),
            )
        except BaseException:
            _give_up(study, asked)
            raise
        _tell(study, asked, trial)
        log.add(trial)
        told(trial)


def _pruner(config: SearchConfig) -> "optuna.pruners.BasePruner":
    import optuna

    if not config.prune:
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(
        n_startup_trials=UNSTOPPED, n_warmup_steps=round(WARM_UP * config.searched)
    )


def _keep_going(asked: "optuna.Trial", config: SearchConfig) -> Callable[[Trial], bool]:
    def keep_going(so_far: Trial) -> bool:
        asked.report(so_far.loss_bpb, so_far.rounds)
        return not (config.prune and asked.should_prune())

    return keep_going


def _tell(study: "optuna.Study", asked: "optuna.Trial", trial: Trial) -> None:
    import optuna

    if trial.state == "pruned":
        study.tell(asked, state=optuna.trial.TrialState.PRUNED)
    else:
        study.tell(asked, trial.loss_bpb)


def _give_up(study: "optuna.Study", asked: "optuna.Trial") -> None:
    import optuna

    study.tell(asked, state=optuna.trial.TrialState.FAIL)
