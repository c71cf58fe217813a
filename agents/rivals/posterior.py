"""Rivals that keep a posterior over the weights in place of a point."""

from dataclasses import dataclass, replace

from olrl.control.constant import Constant
from olrl.control.controller import Controller
from olrl.learners.averaged_predictions import AveragedPredictions
from olrl.learners.causal_lm import CausalLMLearner
from olrl.learners.learner import Learner
from olrl.learners.optimizer import OptimizerConfig, OptimizerName

from .entrant import Conditions, Entrant, Task
from .space import Choice, LogUniform


@dataclass(frozen=True, kw_only=True)
class Posterior(Entrant):
    """The base at a constant rate, with a Bayesian optimizer (`olrl.learners.von`) in place of AdamW.

    Setting `draws`: over how many weights drawn from the posterior its predictions are averaged (0: scored is the
    mean); each is a pass, and charged. `memory`, `floor` and `curvature` are the optimizer's.
    """

    optimizer: OptimizerName = "vadam"

    def controller(self, given: Conditions) -> Controller:
        """The base, its rate times `lr_factor`."""
        return Constant(base=scaled(given).base)

    def learner(self, task: Task) -> Learner:
        """One of its own, with that optimizer; draws are keyed by the run's seed."""
        settings = {name: v for name, v in task.given.settings.items() if name not in ("lr_factor", "draws")}
        seed = task.given.config.seed
        config = OptimizerConfig(name=self.optimizer, seed=seed, **settings)
        learner, draws = task.learners.fresh(config), int(task.given.settings.get("draws", 0))
        if not draws:
            return learner
        if not isinstance(learner, CausalLMLearner):
            raise ValueError("draws average a language model's predictions of tokens: leave them out here")
        return AveragedPredictions(learner, passes=draws, seed=seed)


def scaled(given: Conditions) -> Conditions:
    """The same conditions with the base's rate times the setting `lr_factor`."""
    factor = float(given.settings.get("lr_factor", 1.0))
    return replace(given, base=replace(given.base, lr=given.base.lr * factor))


SPACE = {
    "lr_factor": LogUniform(low=0.125, high=8),
    "memory": LogUniform(low=1e5, high=1e9),
    "floor": LogUniform(low=1e-5, high=1e-1),
    "draws": Choice(options=(0,)),
}
