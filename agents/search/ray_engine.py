"""Trials through Ray Tune: as many at once as there are cores, stopped early by ASHA, proposed by Optuna."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..evaluation.jobs import Job, task_of
from ..local_ray import local_ray
from ..rivals.constants import base_at
from ..rivals.samplers import sampler_of, seed_of, unit_cube
from ..rivals.space import Space
from ..warm_processes import usable_cores
from .asked import Asked
from .config import SearchConfig
from .study import NAME, open_storage, open_study, told_loss
from .trial import Trial, play_trial

GRACE = 0.3  # share of a run that no trial is stopped in


def search_with_ray(asked: Asked) -> None:
    """Make trials until the log holds as many as were asked for, the base first; each is logged when it is over.

    What the trials are depends on which is over first, and so on the machine. Where they are made, the stream is
    read anew: no text goes through Ray. What Tune itself writes, pickles among it, ends with the search; it goes
    on from Optuna's journal. Trials have names of their own ("place of lr"): schedulers of Ray that change a
    setting called `lr` crash (ray#42180).
    """
    config, space, known = asked.config, asked.space, asked.log.trials
    storage = open_storage(asked.folder / "study.journal")
    asked.begin(open_study(storage), axis=_axis)
    wanted = config.trials - len(known)
    if wanted <= 0:
        return
    with local_ray(cpus=usable_cores()) as (_, scratch):
        from ray import tune
        from ray.tune.logger import JsonLoggerCallback
        from ray.tune.search.optuna import OptunaSearch

        def over(trial: Trial) -> None:
            asked.over(replace(trial, number=len(known)))

        class Told(OptunaSearch):  # type: ignore[misc] # Ray is not looked into
            """Optuna, told of trials that ASHA has stopped what they would have come to."""

            def on_trial_complete(
                self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
            ) -> None:
                if result and "trial" in result:
                    loss = told_loss(Trial.from_dict(result["trial"]), known)
                    result = {**result, "loss_bpb": loss}
                super().on_trial_complete(trial_id, result, error)

        searcher = Told(
            space=unit_cube([_axis(name) for name in space]),
            metric="loss_bpb",
            mode="min",
            sampler=sampler_of(config.sampler, seed=seed_of(config.seed, len(known))),
            storage=storage,
            study_name=NAME,
        )
        play = tune.with_parameters(_play, job=asked.job, space=space)
        tuner = tune.Tuner(
            tune.with_resources(play, _resources(config)),
            tune_config=tune.TuneConfig(
                num_samples=wanted,
                search_alg=searcher,
                scheduler=_scheduler(config),
                max_concurrent_trials=usable_cores(),
                reuse_actors=True,  # importing torch and reading the stream takes longer than a trial
            ),
            run_config=tune.RunConfig(
                name=NAME,
                storage_path=str(scratch / "tune"),
                callbacks=[_callback(over), JsonLoggerCallback()],  # without its file fit() complains
                verbose=0,
            ),
        )
        results = tuner.fit()
        for error in results.errors:
            raise error


def _axis(name: str) -> str:
    return f"place of {name}"


def _play(config: dict[str, float], *, job: Job, space: Space) -> None:
    """What runs in Ray's processes; it ends where the scheduler stops it in a report."""
    import torch
    from ray import tune

    torch.set_num_threads(1)
    places = {name: config[_axis(name)] for name in space}

    def report(trial: Trial) -> bool:
        tune.report({"loss_bpb": trial.loss_bpb, "rounds": trial.rounds, "trial": trial.to_dict()})
        return True

    report(
        play_trial(
            task_of(job, judged=False), base_at(space, places), number=0, places=places, keep_going=report
        )
    )


def _resources(config: SearchConfig) -> dict[str, float]:
    return {"cpu": 1, "gpu": 1} if config.device.startswith("cuda") else {"cpu": 1}


def _scheduler(config: SearchConfig) -> Any:
    """ASHA (Li et al., 2020, "A system for massively parallel hyperparameter tuning")."""
    from ray.tune.schedulers import ASHAScheduler, FIFOScheduler

    if not config.prune:
        return FIFOScheduler()
    return ASHAScheduler(
        time_attr="rounds",
        metric="loss_bpb",
        mode="min",
        max_t=config.searched + 1,  # at max_t a trial is stopped before it can say that it is complete
        grace_period=max(1, round(GRACE * config.searched)),
        reduction_factor=3,
    )


def _callback(over: Callable[[Trial], None]) -> Any:
    from ray import tune

    class Told(tune.Callback):  # type: ignore[misc] # Ray is not looked into
        """Hands on each trial that is over."""

        def __init__(self, over: Callable[[Trial], None]) -> None:
            self._over = over

        def __getstate__(self) -> dict[str, Any]:
            return {}  # Tune writes down what it was given, and what hears of trials cannot be

        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            row = trial.last_result.get("trial")
            if row is not None:
                self._over(Trial.from_dict(row))

    return Told(over)
