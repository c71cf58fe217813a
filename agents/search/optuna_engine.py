"""Trials one after the other in this process, proposed by Optuna."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..evaluation.jobs import task_of
from ..rivals.constants import base_at
from ..rivals.samplers import sampler_of, seed_of, unit_cube
from .asked import Asked
from .calm import Calm
from .config import SearchConfig
from .study import open_storage, open_study, told_loss
from .trial import Trial, play_trial

if TYPE_CHECKING:
    import optuna

WARM_UP = 0.3  # share of a run that no trial is stopped in
UNSTOPPED = 5  # trials before which none is


def search_with_optuna(asked: Asked) -> None:
    """Make trials until the log holds as many as were asked for, the base first; each is logged when it is over.

    What trial k proposes is decided by the seed, k and the trials before it, so that a search which was stopped
    goes on as it would have. A trial is stopped where its loss is above the median of the others' at that round.
    """
    config, space, known = asked.config, asked.space, asked.log.trials
    study = open_study(open_storage(asked.folder / "study.journal"))
    study.pruner = _pruner(config)
    cube = unit_cube(space)
    task = task_of(asked.job, judged=False)
    asked.begin(study)
    while len(known) < config.trials:
        number = len(known)
        study.sampler = sampler_of(config.sampler, seed=seed_of(config.seed, number))
        with (
            Calm()
        ):  # cut in two, a fit of the sampler's leaves PyTorch in a state of which it complains instead
            proposed = study.ask(dict(cube))
        try:
            trial = play_trial(
                task,
                base_at(space, proposed.params),
                number=number,
                places=proposed.params,
                keep_going=_keep_going(proposed, config),
            )
        except BaseException:
            _give_up(study, proposed)
            raise
        loss = told_loss(trial, known)
        asked.over(trial)  # first: a study that was not told catches up, and a log cannot
        study.tell(proposed, loss)


def _pruner(config: SearchConfig) -> "optuna.pruners.BasePruner":
    import optuna

    if not config.prune:
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(
        n_startup_trials=UNSTOPPED, n_warmup_steps=round(WARM_UP * config.searched)
    )


def _keep_going(proposed: "optuna.Trial", config: SearchConfig) -> Callable[[Trial], bool]:
    def keep_going(so_far: Trial) -> bool:
        proposed.report(so_far.loss_bpb, so_far.rounds)
        return not (config.prune and proposed.should_prune())

    return keep_going


def _give_up(study: "optuna.Study", proposed: "optuna.Trial") -> None:
    import optuna

    study.tell(proposed, state=optuna.trial.TrialState.FAIL)
