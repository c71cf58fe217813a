"""The training run: its stages one after the other, validation around each, and the frozen policy at the end."""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from matplotlib.figure import Figure
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Figure as ShownFigure
from stable_baselines3.common.logger import HParam, TensorBoardOutputFormat, configure
from stable_baselines3.common.utils import FloatSchedule
from stable_baselines3.common.vec_env import VecEnv

from olrl.analysis.policy_figure import figure_policy, policy_map
from olrl.control.actions import action_coding
from olrl.control.policy import QUANTILES, FrozenPolicy
from olrl.monitor.feature_set import HAND_MADE, feature_set_of

from ..hindsight.fit import Examples, fit
from ..hindsight.returns import fit_critic
from ..hindsight.runs import StreamRuns
from ..hindsight.stage import RunTask, frozen_settings, make_runs, quantiles_of
from ..hindsight.targets import choice_costs
from ..workers.base import Workers
from .callbacks import StageCallback
from .checkpoint import TrainingCheckpoint, go_back, load_checkpoint, newest_checkpoint, save_checkpoint
from .environments import build_environments
from .episode_figure import episode_figure
from .export import freeze, observation_quantiles
from .lean import STAY_BIAS, STAYING, UPDATE_BIAS
from .progress import Best, Progress, StageResult
from .recipe import Recipe, StageConfig
from .report import policy_card
from .validation import Validation, validate

CHECKPOINTS = "checkpoints"
BEST = "best"
CURVES = "tensorboard"
HINDSIGHT = "hindsight"


class Reporter(Protocol):
    """Where a training run tells how far it is."""

    def part(self, name: str, total: int) -> None:
        """A part of the run with so many steps begins."""

    def step(self, done: int, note: str = "") -> None:
        """So many of its steps are done."""

    def say(self, text: str) -> None:
        """A line to keep."""


def train(
    recipe: Recipe,
    *,
    seed: int,
    out: Path,
    resume: bool,
    report: Reporter,
    after_leg: Callable[[str, FrozenPolicy], None] = lambda stage, policy: None,
    workers: Workers | None = None,
    stacks: int | None = None,
) -> Progress:
    """Train a controller in a run folder: TensorBoard events, checkpoints, and `policy/` at the end.

    With `resume`, goes on from the newest checkpoint as if it had never stopped. `after_leg` is given the name of
    the stage and the policy as it stands. Environments and runs are the `workers`', this machine's cores unless
    others are given, in as many `stacks` as there are workers unless told otherwise (`build_environments`). PPO
    draws from torch's global generator, which is seeded anew for each leg.
    """
    torch.set_num_threads(1)  # the networks are too small for more, and the environments want the other cores
    checkpoint = newest_checkpoint(out / CHECKPOINTS, report.say) if resume else None
    if resume:
        if is_complete(out):
            raise ValueError(f"the run in {out} is complete: its policy is in {out / 'policy'}")
        go_back(out / CHECKPOINTS, checkpoint, curves=out / CURVES)
    progress = Progress()
    model: PPO | None = None
    for number, stage in enumerate(recipe.stages):
        if checkpoint is not None:
            progress = Progress.from_dict(checkpoint.progress)
            if progress.stage > number:
                continue
        env = build_environments(stage, recipe, workers=workers, stacks=stacks)
        try:
            model = _build(recipe, stage, env, weights_of=model)
            model.set_logger(configure(str(out / CURVES / stage.name), ["tensorboard"]))
            if checkpoint is not None:
                load_checkpoint(checkpoint, model, optimizer=progress.leg > 0)
                report.say(f"resumed in stage {stage.name} after {progress.leg} of {stage.legs} legs")
                checkpoint = None
            else:
                model.logger.record(
                    "hparams", _hparams(recipe, stage, seed)
                )  # written with the first rollout
            run = _StageRun(
                recipe, number, stage, model, progress, seed=seed, out=out, report=report, workers=workers
            )
            run.play(after_leg)
        finally:
            env.close()
    if model is None:  # every leg was done before
        assert checkpoint is not None
        policy = policy_of_checkpoint(recipe, checkpoint, seed=seed)
    else:
        policy = frozen(recipe, model, progress, seed=seed)
    best_policy(out, policy, progress).save(out / "policy")
    return progress


def _hparams(recipe: Recipe, stage: StageConfig, seed: int) -> HParam:
    """What stages of different runs are compared by in TensorBoard, and what they are judged by."""
    plain = {name: value for name, value in asdict(stage.ppo).items() if isinstance(value, int | float)}
    settings = {"profile": recipe.name, "stage": stage.name, "steps": stage.steps, "seed": seed, **plain}
    return HParam(settings, {"rollout/ep_rew_mean": 0.0, "train/explained_variance": 0.0})


def best_policy(out: Path, last: FrozenPolicy, progress: Progress) -> FrozenPolicy:
    """The policy of the leg that did best in validation, with the card of the whole run."""
    if progress.best is None:
        return last
    kept = {**last.training, "kept": {"stage": progress.best.stage, "leg": progress.best.leg}}
    return replace(FrozenPolicy.load(best_folder(out, progress.best)), training=kept, card=last.card)


def best_folder(out: Path, best: Best) -> Path:
    """Where the policy of a leg that was the best so far is; earlier bests stay, as older checkpoints name them."""
    return out / BEST / f"{best.stage}-{best.leg}"


def is_complete(out: Path) -> bool:
    """Whether a training run has come to its end, and all that it leaves is there."""
    return (out / "policy" / "policy.json").is_file() and (out / "report.md").is_file()


class _StageRun:
    """One stage, from the leg that `progress` says."""

    def __init__(
        self,
        recipe: Recipe,
        number: int,
        stage: StageConfig,
        model: PPO,
        progress: Progress,
        *,
        seed: int,
        out: Path,
        report: Reporter,
        workers: Workers | None = None,
    ) -> None:
        self.recipe, self.number, self.stage = recipe, number, stage
        self.model, self.progress = model, progress
        self.seed, self.out, self.report, self.workers = seed, out, report, workers

    def play(self, after_leg: Callable[[str, FrozenPolicy], None]) -> None:
        """Train the legs that are left, validate, and move `progress` to the next stage."""
        if self.progress.untrained is None:
            self.progress.untrained = self._validate()
            self.report.say(f"untrained: {self.progress.untrained.line()}")
        self.report.part(f"stage {self.stage.name}", self.stage.leg_steps * self.stage.legs)
        while self.progress.leg < self.stage.legs:
            started = time.perf_counter()
            if self.stage.kind == "hindsight":
                self.progress.quantiles = self._look_back(self.progress.leg)
            else:
                self._train_leg(self.progress.leg)
                self.progress.quantiles = observation_quantiles(self.model)
            self.progress.leg += 1
            self.progress.seconds += time.perf_counter() - started
            policy = frozen(self.recipe, self.model, self.progress, seed=self.seed)
            if self.recipe.validation.every_leg or self.progress.leg == self.stage.legs:
                self._judge(policy)
            self._save()
            after_leg(self.stage.name, policy)
        assert self.progress.latest is not None, "the last leg of a stage is always judged"
        result = StageResult(
            name=self.stage.name,
            steps=self.stage.leg_steps * self.stage.legs,
            updates=self.model._n_updates,
            seconds=self.progress.seconds,
            after=self.progress.latest,
        )
        self.progress.results.append(result)
        self.progress.stage, self.progress.leg, self.progress.seconds = self.number + 1, 0, 0.0
        self._save()

    def _judge(self, policy: FrozenPolicy) -> None:
        """Validate, and keep the policy if none has been better: training longer can also make it worse."""
        found = self._validate()
        progress = self.progress
        progress.latest = found
        name = f"{self.stage.name}, leg {progress.leg} of {self.stage.legs}"
        self.report.say(f"after stage {name}: {found.line()}")
        self.model.logger.record("validation/score", found.score)
        if self._may_be_kept and (progress.best is None or found.score < progress.best.validation.score):
            progress.best = Best(stage=self.stage.name, leg=progress.leg, validation=found)
            policy.save(best_folder(self.out, progress.best))
        self.report.part(f"stage {self.stage.name}", self.stage.leg_steps * self.stage.legs)
        self.report.step(progress.leg * self.stage.leg_steps)

    @property
    def _may_be_kept(self) -> bool:
        names = [stage.name for stage in self.recipe.stages]
        return self.recipe.kept_from is None or self.number >= names.index(self.recipe.kept_from)

    def _save(self) -> None:
        # What PPO has recorded since its last rollout would else be written with the next one, and lost by a kill.
        self.model.logger.dump(self.model.num_timesteps)
        for writer in self.model.logger.output_formats:
            if isinstance(writer, TensorBoardOutputFormat):
                writer.writer.flush()
        save_checkpoint(
            self.out / CHECKPOINTS,
            self.model,
            progress=self.progress.to_dict(),
            curves=self.out / CURVES,
        )

    def _train_leg(self, leg: int) -> None:
        model, stage = self.model, self.stage
        model.set_random_seed(_leg_seed(self.seed, self.number, leg))  # environments too
        model._last_obs = None  # makes learn() reset the environments
        model.ep_info_buffer = None
        done = leg / stage.legs
        rate = stage.ppo.learning_rate + done * (stage.ppo.final_learning_rate - stage.ppo.learning_rate)
        model.lr_schedule = FloatSchedule(rate)
        first = leg * stage.leg_steps
        offset = model.num_timesteps - first
        callback = StageCallback(lambda steps, note: self.report.step(steps - offset, note))
        model.learn(stage.leg_steps, callback=callback, reset_num_timesteps=False, log_interval=1)

    def _look_back(self, leg: int) -> list[list[float]]:
        """A leg of a hindsight stage, fitted to its runs and those of the hindsight stages before it.

        Returns the quantiles of every feature over all their observations.
        """
        stage, config = self.stage, self.stage.hindsight
        folder = self.out / HINDSIGHT / stage.name
        folder.mkdir(parents=True, exist_ok=True)
        policy = frozen(self.recipe, self.model, self.progress, seed=self.seed)
        # One suite for all legs, each takes its next streams, and for all seeds: constant runs are made once.
        env = frozen_settings({"stream_seed": self.number, **stage.env})
        seed = _leg_seed(self.seed, self.number, leg)
        tasks = [
            RunTask(
                number=number,
                env=env,
                config=config,
                policy=policy,
                seed=seed,
                path=folder / f"{number:05d}.npz",
            )
            for number in range(config.streams * (leg + 1))
        ]
        per_stream = config.rounds * config.policy_lanes
        runs = make_runs(tasks, lambda done: self.report.step(done * per_stream), workers=self.workers)
        told = [(one, config) for one in runs]
        for earlier in self.recipe.stages[: self.number]:
            paths = sorted((self.out / HINDSIGHT / earlier.name).glob("[0-9]*.npz"))
            told += [(StreamRuns.load(path), earlier.hindsight) for path in paths]
        runs = [one for one, _ in told]
        examples = Examples()
        for one, of_stage in told:  # what a choice costs is its own stage's affair
            examples.add(one, choice_costs(one, coding=self.recipe.coding, config=of_stage))
        actor = self.model.policy
        cost = fit(
            lambda seen: actor.action_net(actor.mlp_extractor.forward_actor(seen)),
            [*actor.mlp_extractor.policy_net.parameters(), *actor.action_net.parameters()],
            examples,
            heads=action_coding(self.recipe.coding).nvec,
            names=policy.features.names,
            config=config,
            seed=_leg_seed(self.seed, self.number, leg),
        )
        unexplained = fit_critic(
            actor,
            runs,
            gamma=stage.ppo.gamma,
            config=config,
            seed=_leg_seed(self.seed, self.number, leg),
        )
        self.report.say(
            f"fitted to {len(examples):,} decisions on {len(runs)} streams: expected cost {cost:.2f} %, "
            f"returns explained {100 * (1 - unexplained):.0f} %"
        )
        self.model.num_timesteps = (leg + 1) * stage.leg_steps
        return [row.tolist() for row in quantiles_of(runs, QUANTILES)]

    def _validate(self) -> Validation:
        policy = frozen(self.recipe, self.model, self.progress, seed=self.seed)
        config = self.recipe.validation
        runs = config.streams * (1 + len(config.base_lr_mult))
        self.report.part("validation", runs)
        self._show("validation/policy", figure_policy(policy_map(policy)))
        return validate(
            policy,
            config,
            scratch=self.out / "validation",
            progress=lambda done, total: self.report.step(done),
            workers=self.workers,
            show=lambda outcome: self._show("validation/episode", episode_figure(outcome)),
        )

    def _show(self, tag: str, figure: Figure) -> None:
        """A figure, written with the curves at the next dump."""
        shown = ShownFigure(figure, close=False)
        self.model.logger.record(tag, shown, exclude=("stdout", "log", "json", "csv"))


def frozen(recipe: Recipe, model: PPO, progress: Progress, *, seed: int) -> FrozenPolicy:
    """The policy as it stands, with where it came from."""
    training = {
        "recipe": recipe.name,
        "seed": seed,
        "coding": recipe.coding,
        "stages": [
            {"name": r.name, "steps": r.steps, "updates": r.updates, "score": r.after.score}
            for r in progress.results
        ],
    }
    return freeze(
        model,
        coding=action_coding(recipe.coding, **recipe.coding_settings),
        quantiles=progress.quantiles,
        training=training,
        card=policy_card(recipe, progress, seed=seed),
        features=HAND_MADE if recipe.features is None else feature_set_of(dict(recipe.features)),
    )


def policy_of_checkpoint(recipe: Recipe, checkpoint: TrainingCheckpoint, *, seed: int) -> FrozenPolicy:
    """The frozen policy of a checkpoint; no environment runs."""
    stage = StageConfig(name="export", kind="surrogate", steps=1, n_envs=1)
    env = build_environments(stage, recipe)
    try:
        model = _build(recipe, stage, env, weights_of=None)
    finally:
        env.close()
    load_checkpoint(checkpoint, model, optimizer=False)
    return frozen(recipe, model, Progress.from_dict(checkpoint.progress), seed=seed)


def _build(recipe: Recipe, stage: StageConfig, env: VecEnv, *, weights_of: PPO | None) -> PPO:
    """PPO for a stage, with the weights of the stage before."""
    ppo = stage.ppo
    model = PPO(
        "MlpPolicy",
        env,
        n_steps=ppo.rollout,
        batch_size=min(ppo.batch_size, ppo.rollout * stage.n_envs),
        n_epochs=ppo.n_epochs,
        learning_rate=ppo.learning_rate,
        gamma=ppo.gamma,
        gae_lambda=ppo.gae_lambda,
        ent_coef=ppo.ent_coef,
        clip_range=ppo.clip_range,
        max_grad_norm=ppo.max_grad_norm,
        vf_coef=ppo.vf_coef,
        policy_kwargs={"net_arch": list(recipe.hidden), "activation_fn": torch.nn.Tanh},
        seed=0,
        device="cpu",
    )
    if weights_of is None:
        _lean_towards_staying(model, recipe.coding)
    else:
        model.policy.load_state_dict(weights_of.policy.state_dict())
    return model


def _lean_towards_staying(model: PPO, coding: str) -> None:
    """Let the untrained policy mostly stay where it is and train.

    A policy that moves at random walks every knob to its bounds, and an episode there teaches little.
    """
    bias: torch.Tensor = model.policy.action_net.get_parameter("bias")
    with torch.no_grad():
        bias[-1] += UPDATE_BIAS  # the last head is skip, update
        start = 0
        for choices, stay in zip(action_coding(coding).nvec, STAYING[coding], strict=True):
            if stay is not None:
                bias[start + stay] += STAY_BIAS
            start += choices


def _leg_seed(seed: int, stage: int, leg: int) -> int:
    """A seed of its own for each leg, below 2**31: torch and numpy take 32 bits.

    Environment i of the leg is seeded with this plus i, so legs must lie far apart or they share episodes.
    """
    return int(np.random.SeedSequence([seed, stage, leg]).generate_state(1)[0]) >> 1
