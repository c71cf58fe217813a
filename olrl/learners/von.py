"""Variational online Newton: an optimizer that keeps a Gaussian posterior over the weights, not a point."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from olrl.draws import uniforms

_SEEDS = 2**32  # torch's generator on a CPU looks at no more bits of a seed


class VON(torch.optim.Optimizer):
    """Natural-gradient variational inference with the diagonal posterior N(m, 1 / (memory · s)).

    What is minimised over (m, s) is the loss expected under the posterior plus, over `memory`, its divergence from
    the prior: the posterior is that of as many observations (of what the loss is a mean of: tokens) as `memory`
    says. A step differentiates the loss at a draw θ from the posterior. With that gradient g it takes

        ḡ ← the average of g over steps with decay `beta`, without its bias to zero
        m ← m − lr · (ḡ + weight_decay · m + pull · (m − m₀)) / s

    and with those of two draws θ, θ' that lie opposite to each other around m, in every second step

        h = ½ (g − g') · (θ − m) · memory · s        the curvature, by Stein's identity
        e = h + floor + weight_decay + pull − s
        s ← s + forgetting · e + ½ · (forgetting · e)² / s

    Khan et al., 2018, "Fast and scalable Bayesian deep learning by weight-perturbation in Adam" (variational online
    Newton); the term in squares, with which s stays positive whatever h is, and the estimate h are from Lin,
    Schmidt and Khan, 2020, "Handling the positive-definite constraint in the Bayesian learning rule"; the average
    of gradients, and dividing by s without a root, from Shen et al., 2024, "Variational learning is effective for
    large deep networks". Written from their equations. Departures: draws come in opposite pairs, one a step, so
    that they do not move m, and that a gradient which both have in common is not taken for curvature (with one draw
    a jump of the target would be, and a step after it next to nothing); with `draws="signs"` it is one standard
    deviation up or down in each weight, with the mean, variance and third moment of a Gaussian and a curvature
    without noise where the loss is a sum of squares over weights; `floor`.

    With `squares` it is Vadam of the first paper: the curvature is that of squared gradients, n · g² for a gradient
    that is the mean over n `observations`, and the move is divided by a root,

        s ← s + forgetting · (n · g² + floor − s)    without its bias to where it starts
        m ← m − lr · (ḡ / (√(s / n) + 1e-8) + weight_decay · m + pull · (m − m₀))

    which is AdamW at weights drawn from the posterior: a rate that suits AdamW suits it. The squares overestimate
    the curvature where gradients do not vanish on average; but one gradient tells them, where Stein's identity
    needs many to be heard above the noise, the more the larger `memory` is: thousands of steps for a language
    model.

    A stream: since s is an average over the last 1 / `forgetting` of its updates, information fades as it does when
    the prior of a step is the posterior of the one before, flattened: precision times 1 − forgetting, towards
    `floor`, with the mean where it is (Kulhavý and Zarrop, 1993). A posterior that counted all data would freeze.
    `weight_decay` and `pull` are Gaussian priors around zero and around the initial weights m₀, of precisions
    memory · weight_decay and memory · pull.

    Weights are the draw between `train()` and `eval()`, and else the mean: as with optimizers that average weights,
    who scores or saves calls `eval()` first. `curvature` is s to start from. Nothing is drawn but by `seed` and the
    number of the step. RuntimeError for a step outside of `train()`, ValueError for settings out of range.

    >>> weight = torch.nn.Parameter(torch.zeros(1))
    >>> optimizer = VON([weight], lr=0.05, memory=100, forgetting=0.1, floor=0.0, curvature=1.0)
    >>> for _ in range(300):  # the loss ½ · 4 · (weight − 1)², of which there are 100
    ...     optimizer.train()
    ...     weight.grad = 4 * (weight.detach() - 1)
    ...     optimizer.step()
    >>> optimizer.eval()
    >>> precision = 1 / optimizer.deviations(weight) ** 2
    >>> round(float(weight.detach()), 2), round(float(precision.detach()), -1)
    (1.0, 400.0)
    """

    def __init__(
        self,
        params: Iterable[torch.nn.Parameter],
        *,
        lr: float = 0.0,
        memory: float = 1e5,
        curvature: float = 0.01,
        forgetting: float = 0.01,
        beta: float = 0.9,
        floor: float = 1e-4,
        weight_decay: float = 0.0,
        pull: float = 0.0,
        squares: bool = False,
        observations: float = 1.0,
        draws: str = "signs",
        seed: int = 0,
    ) -> None:
        for name, value in (("memory", memory), ("curvature", curvature), ("observations", observations)):
            if not value > 0:
                raise ValueError(f"{name} must be above 0, not {value!r}")
        for name, value in (("floor", floor), ("weight_decay", weight_decay), ("pull", pull), ("lr", lr)):
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be at least 0, not {value!r}")
        if not 0 < forgetting <= 1:
            raise ValueError(f"forgetting must be above 0 and at most 1, not {forgetting!r}")
        if not 0 <= beta < 1:
            raise ValueError(f"beta must be at least 0 and below 1, not {beta!r}")
        if draws not in ("signs", "gaussian"):
            raise ValueError(f"draws must be signs or gaussian, not {draws!r}")
        self._draws, self._seed = draws, seed
        super().__init__(
            params,
            {
                "lr": lr,
                "memory": memory,
                "curvature": curvature,
                "forgetting": forgetting,
                "beta": beta,
                "floor": floor,
                "weight_decay": weight_decay,
                "pull": pull,
                "squares": squares,
                "observations": observations,
            },
        )
        self._initial = {p: p.detach().clone() for p in self._weights()} if pull else {}

    def train(self) -> None:
        """Put a draw in the place of the weights, if there is none yet."""
        if not any("mean" in self.state[p] for p in self._weights()):
            self._draw()

    def eval(self) -> None:
        """Put the mean back in its place."""
        with torch.no_grad():
            for p in self._weights():
                mean = self.state[p].pop("mean", None)
                if mean is not None:
                    p.copy_(mean)

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override] # takes no closure
        """Take in the gradient at the draw, and draw anew; weights without a gradient stay as they are."""
        if closure is not None:
            raise TypeError(
                "step takes no closure: differentiate at the weights that train() has put in place"
            )
        for group in self.param_groups:
            for p in group["params"]:
                if "mean" not in self.state[p]:
                    raise RuntimeError("a step is taken at a draw from the posterior: call train() before")
                if p.grad is not None:
                    (self._square_step if group["squares"] else self._newton_step)(p, group)
                self.state[p]["step"] += 1
        self._draw()

    @torch.no_grad()
    def _newton_step(self, p: Tensor, group: dict[str, Any]) -> None:
        gradient = p.grad
        assert gradient is not None
        state, decay, pull = self.state[p], group["weight_decay"], group["pull"]
        s, mean = state["precision"], state["mean"]
        if int(state["step"]) % 2 == 0:
            state["first"] = gradient.clone()
        else:
            h = (state.pop("first") - gradient).mul_(mean - p).mul_(s).mul_(0.5 * group["memory"])
            e = h.add_(group["floor"] + decay + pull).sub_(s).mul_(group["forgetting"])
            s.add_(e.addcdiv_(e.square(), s, value=0.5))
        move = self._average(p, group["beta"])
        if decay:
            move.add_(mean, alpha=decay)
        if pull:
            move.add_(mean - self._start_of(p), alpha=pull)
        mean.addcdiv_(move, s, value=-group["lr"])

    @torch.no_grad()
    def _square_step(self, p: Tensor, group: dict[str, Any]) -> None:
        gradient = p.grad
        assert gradient is not None
        s, mean, n = self.state[p]["precision"], self.state[p]["mean"], group["observations"]
        rho = group["forgetting"] / (1 - (1 - group["forgetting"]) ** (int(self.state[p]["step"]) + 1))
        s.lerp_(gradient.square().mul_(n).add_(group["floor"]), rho)
        move = self._average(p, group["beta"]).div_((s / n).sqrt_().add_(1e-8))
        if group["weight_decay"]:
            move.add_(mean, alpha=group["weight_decay"])
        if group["pull"]:
            move.add_(mean - self._start_of(p), alpha=group["pull"])
        mean.sub_(move, alpha=group["lr"])

    def _average(self, p: Tensor, beta: float) -> Tensor:
        """The average of gradients, this one taken in, without its bias to zero; a new tensor."""
        state, gradient = self.state[p], p.grad
        assert gradient is not None
        state["weight"] = beta * state["weight"] + 1 - beta
        average: Tensor = state["momentum"].lerp_(gradient, 1 - beta) / state["weight"].item()
        return average

    @torch.no_grad()
    def _draw(self) -> None:
        """Weights one draw away from their means; odd steps mirror the draw of the step before."""
        generators: dict[torch.device, torch.Generator] = {}
        for p in self._weights():
            state = self._state(p)
            mean = state.setdefault("mean", p.detach().clone())
            step = int(state["step"])
            if p.device not in generators:
                key = int(uniforms(self._seed, step // 2, 0)[0] * _SEEDS)
                generators[p.device] = torch.Generator(device=p.device).manual_seed(key)
            noise = torch.empty_like(p)
            if self._draws == "signs":
                noise.bernoulli_(0.5, generator=generators[p.device]).mul_(2).sub_(1)
            else:
                noise.normal_(generator=generators[p.device])
            torch.addcmul(mean, noise, self.deviations(p), value=-1.0 if step % 2 else 1.0, out=p)

    def seen(self, observations: int) -> None:
        """The gradients to come are means over so many observations."""
        for group in self.param_groups:
            group["observations"] = observations

    def pull(self, pull: float, *, towards: Tensor) -> None:
        """Pull the weights of the only parameter there is towards these, shape as theirs."""
        [p] = self._weights()
        self._initial[p] = towards
        for group in self.param_groups:
            group["pull"] = pull

    def deviations(self, p: Tensor) -> Tensor:
        """The posterior's standard deviation of each of these weights, in units of weights."""
        [memory] = [group["memory"] for group in self.param_groups if any(p is q for q in group["params"])]
        deviations: Tensor = (self._state(p)["precision"] * memory).rsqrt()
        return deviations

    def uncertainty(self) -> float:
        """The geometric mean of the posterior's standard deviations, in units of weights.

        Its logarithm, plus ½ log(2πe), is the posterior's entropy a weight, nats.
        """
        logarithms = [self.deviations(p).log() for p in self._weights()]
        count = sum(each.numel() for each in logarithms)
        return math.exp(sum(float(each.sum(dtype=torch.float64)) for each in logarithms) / count)

    @property
    def steps(self) -> int:
        """Steps taken so far."""
        return int(self._state(self._weights()[0])["step"])

    def _weights(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def _start_of(self, p: Tensor) -> Tensor:
        if p not in self._initial:
            raise ValueError("a pull that is not there when VON is made needs to be told towards what")
        return self._initial[p]

    def _state(self, p: Tensor) -> dict[str, Any]:
        """The state of these weights, made if there is none."""
        state: dict[str, Any] = self.state[p]
        if "precision" not in state:
            [group] = [group for group in self.param_groups if any(p is q for q in group["params"])]
            state["step"] = torch.tensor(0)
            state["weight"] = torch.tensor(0.0, dtype=torch.float64)
            state["precision"] = torch.full_like(p, group["curvature"]).detach()
            state["momentum"] = torch.zeros_like(p).detach()
        return state
