"""A Hugging Face causal language model that learns online."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from olrl.control.decision import Decision
from olrl.learners.flat import FlatParameters
from olrl.learners.gradient_noise import snr, snr_of_halves
from olrl.learners.learner import Examples, Learner, UpdateReport
from olrl.learners.network import Network
from olrl.learners.networks import network_of
from olrl.learners.optimizer import BAYESIAN, OptimizerConfig
from olrl.learners.von import VON

# Makes a torch optimizer of the one vector that holds all weights.
OptimizerMaker = Callable[[torch.nn.Parameter], torch.optim.Optimizer]


class CausalLMLearner(Learner):
    """Any Hugging Face causal LM with its optimizer, scored by our own loss.

    Examples are token sequences, shape (n, L + 1): the first token is context, the other L are predicted. The
    loss is the mean cross-entropy over them, nats per token (a model's own `loss` is not used: some divide by
    one token too many). The model stays in evaluation mode, so that no dropout adds chance; its weights are
    changed in place. At most `pass_size` sequences go through the model at once, larger batches accumulate.
    `network` computes losses and gradients; by default the fastest that computes this model (`network_of`).

    In place of a configuration, `optimizer` may make any torch optimizer; decisions set its `lr` and
    `weight_decay`. One that keeps averaged weights beside those it trains, and has `train()` and `eval()` to
    change between the two (as schedulefree's), is in `train()` during an update and in `eval()` else: scored,
    moved and saved are the averaged weights. So it is with `VON`, which trains draws from a posterior: scored is
    its mean, and a report tells its `uncertainty`.

    `flat` holds weights and gradients as two vectors, `last_move` how the last round that trained moved them.

    A decision's `pull` draws towards the weights that the model has when the learner is made, by lr × pull of the
    distance a step, before the optimizer's own move; ValueError for an optimizer made by the caller.

    Costs beside the arithmetic: three copies of the weights (the first ones, the last move and the round's start).
    """

    def __init__(
        self,
        model: torch.nn.Module,
        *,
        optimizer: OptimizerConfig | OptimizerMaker | None = None,
        pass_size: int | None = None,
        network: Network | None = None,
    ) -> None:
        self.model = model.eval()
        self._network = network or network_of(model)
        self.pass_size = pass_size or 4 * self._network.pass_size
        self.flat = FlatParameters(model.parameters())
        self._device = self.flat.values.device
        self._own = isinstance(optimizer, OptimizerConfig | None)
        self._optimizer = (
            torch_optimizer([self.flat.values], optimizer or OptimizerConfig())
            if isinstance(optimizer, OptimizerConfig | None)
            else optimizer(self.flat.values)
        )
        self._fresh_numbers = self._numbers()
        self.last_move: torch.Tensor | None = None
        self._initial = self.flat.values.detach().clone()

    def score(self, examples: Examples) -> NDArray[np.float64]:
        """Mean loss of each sequence, shape (n,), nats per predicted token."""
        tokens = self.tensor(examples)
        weights = self.flat.values.detach()[None]
        parts = [self._network.losses(weights, part[None])[0] for part in torch.split(tokens, self.pass_size)]
        losses = torch.cat(parts)
        scored: NDArray[np.float64] = losses.double().cpu().numpy()
        return scored

    def update(self, batches: Iterator[Examples], decision: Decision) -> UpdateReport:
        """One optimizer step per batch at the decision's rate; a step that is not finite is not taken."""
        self._obey(decision)
        start = self.flat.values.detach().clone()
        self._switch_to("train")
        losses: list[float] = []
        examples = nonfinite = 0
        grad_norm = grad_cos = grad_snr = None
        before: torch.Tensor | None = None  # the gradient of the batch before, until the noise is known
        for batch in batches:
            examples += len(batch)
            loss, half = self._backward(batch, keep_half=examples == len(batch))
            norm = float(self.flat.grads.norm())
            if not (math.isfinite(loss) and math.isfinite(norm)):
                nonfinite += (
                    1  # no step at all: a zero rate or a zero gradient would still poison the moments
                )
                continue
            if not losses:
                grad_norm, grad_cos = norm, self._cosine(norm)
            if grad_snr is None:  # of single or equal examples, from two batches in a row
                if half is not None:
                    grad_snr = snr_of_halves(half, self.flat.grads, len(batch))
                elif before is not None:
                    grad_snr = snr(before, self.flat.grads, len(batch), len(batch))
                before = self.flat.grads.clone() if grad_snr is None else None
            losses.append(loss)
            if self.posterior:
                self.posterior.seen(batch.size - len(batch))
            self._step(decision)
        self._switch_to("eval")
        if losses:
            self.last_move = self.flat.values.detach() - start
        return UpdateReport(
            updates=len(losses),
            examples=examples,
            train_loss_nats=float(np.mean(losses)) if losses else None,
            grad_norm=grad_norm,
            grad_snr=grad_snr,
            grad_cos=grad_cos,
            update_ratio=self._ratio(start) if losses else None,
            uncertainty=self.posterior.uncertainty() if losses and self.posterior else None,
            nonfinite=nonfinite,
        )

    @property
    def posterior(self) -> VON | None:
        """The optimizer, where it keeps a posterior over the weights."""
        return self._optimizer if isinstance(self._optimizer, VON) else None

    def step(self, decision: Decision) -> None:
        """One optimizer step on the gradient that the caller has put into `flat.grads`."""
        self._obey(decision)
        self._step(decision)

    def _step(self, decision: Decision) -> None:
        if decision.pull and self.posterior is None:
            with torch.no_grad():
                self.flat.values.lerp_(self._initial, decision.lr * decision.pull)
        self._optimizer.step()

    def _obey(self, decision: Decision) -> None:
        if decision.pull and not self._own:
            raise ValueError(
                "a pull towards the initial weights works with the optimizers of olrl, not with others"
            )
        if self.posterior:
            self.posterior.pull(decision.pull, towards=self._initial)
        for group in self._optimizer.param_groups:
            group["lr"], group["weight_decay"] = decision.lr, decision.weight_decay

    def _switch_to(self, mode: str) -> None:
        """Let an optimizer that keeps averaged weights change between training and scoring."""
        switch = getattr(self._optimizer, mode, None)
        if switch is not None:
            switch()

    def _numbers(self) -> dict[str, bool | int | float]:
        """What an optimizer that is not ours counts and estimates outside of its moments."""
        if self._own:
            return {}
        [group] = self._optimizer.param_groups
        return {name: value for name, value in group.items() if isinstance(value, bool | int | float)}

    def _backward(self, batch: Examples, *, keep_half: bool) -> tuple[float, torch.Tensor | None]:
        """Put the gradient of the batch's mean loss into the flat vector; return that loss.

        With `keep_half`, also what the first half of the batch gave of it (`None` for a batch of one).
        """
        self.flat.grads.zero_()
        middle = len(batch) // 2 if keep_half else 0
        total = self._accumulate(batch[:middle], of=len(batch))
        half = self.flat.grads.clone() if middle else None
        total += self._accumulate(batch[middle:], of=len(batch))
        return total, half

    def _accumulate(self, examples: Examples, *, of: int) -> float:
        weights, to = self.flat.values.detach()[None], self.flat.grads[None]
        total = 0.0
        for k in range(0, len(examples), self.pass_size):
            tokens = self.tensor(examples[k : k + self.pass_size])[None]
            scale = torch.full(tokens.shape[:2], 1.0 / of, device=self._device)
            losses = self._network.add_gradients(weights, tokens, to=to, scale=scale)
            total += float(losses.sum()) / of
        return total

    def _cosine(self, norm: float) -> float | None:
        """Cosine of minus the gradient at hand with the whole move of the last round that moved."""
        if self.last_move is None:
            return None
        length = float(self.last_move.norm()) * norm
        return -float(torch.dot(self.flat.grads, self.last_move)) / length if length > 0 else None

    def tensor(self, examples: Examples) -> torch.Tensor:
        """Examples where the model computes: tokens as whole numbers, features as they are."""
        whole = examples.dtype.kind != "f"
        return torch.from_numpy(examples.astype(np.int64) if whole else examples).to(self._device)

    def _ratio(self, start: torch.Tensor) -> float | None:
        assert self.last_move is not None
        norm = float(start.norm())
        return float(self.last_move.norm()) / norm if norm > 0 else None

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Weights, optimizer moments and the last move, each as one flat array."""
        state: dict[str, NDArray[Any]] = {"values": _array(self.flat.values)}
        for name, value in self._optimizer.state[self.flat.values].items():
            if value is not None:  # plain SGD keeps an empty momentum
                state[f"optimizer/{name}"] = _array(torch.as_tensor(value))
        for name, number in self._numbers().items():
            state[f"group/{name}"] = np.asarray(number)
        if self.last_move is not None:
            state["last_move"] = _array(self.last_move)
        return state

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Continue from `state_dict()` of a learner of the same model; ValueError if the sizes differ."""
        if state["values"].shape != tuple(self.flat.values.shape):
            raise ValueError(
                f"the state has {state['values'].size} weights, this model has {self.flat.values.numel()}"
            )
        self._check_moments(state)
        with torch.no_grad():
            self.flat.values.copy_(torch.from_numpy(state["values"]))
        moments = self._optimizer.state[self.flat.values]
        moments.clear()
        for name, value in state.items():
            if name.startswith("optimizer/"):
                device = "cpu" if name == "optimizer/step" else self._device
                moments[name.removeprefix("optimizer/")] = self._tensor_like_weights(value).to(device)
        [group] = self._optimizer.param_groups
        for name in self._numbers():
            del group[name]
        group.update(self._fresh_numbers)
        group.update(
            {
                name.removeprefix("group/"): value.item()
                for name, value in state.items()
                if name.startswith("group/")
            }
        )
        last = state.get("last_move")
        self.last_move = None if last is None else self._tensor_like_weights(last).to(self._device)

    def _tensor_like_weights(self, value: NDArray[Any]) -> torch.Tensor:
        """A copy of a saved array, which is float32 where it was bfloat16."""
        tensor = torch.from_numpy(value.copy())
        half = self._own and self.flat.values.dtype == torch.bfloat16
        return tensor.bfloat16() if half and tensor.shape == self.flat.values.shape else tensor

    def _check_moments(self, state: dict[str, NDArray[Any]]) -> None:
        """Moments of another shape would be found by a kernel, or by nobody."""
        for name, value in state.items():
            kept = name == "last_move" or (self._own and name.startswith("optimizer/"))
            if kept and value.shape not in ((), state["values"].shape):
                raise ValueError(f"the state's {name} has shape {value.shape}, as nothing of this model has")


def torch_optimizer(weights: Iterable[torch.nn.Parameter], config: OptimizerConfig) -> torch.optim.Optimizer:
    """The optimizer of a configuration, at rate 0 until a decision sets one."""
    if config.name == "sgd":
        return torch.optim.SGD(weights, lr=0.0, momentum=config.momentum)
    if config.name in BAYESIAN:
        squares = config.name == "vadam"
        return VON(weights, squares=squares, seed=config.seed, **config.posterior())  # type: ignore[arg-type] # of floats
    return torch.optim.AdamW(weights, lr=0.0, betas=config.betas, eps=config.eps, fused=True)


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    copied = tensor.detach().cpu().clone()
    array: NDArray[Any] = (copied.float() if copied.dtype == torch.bfloat16 else copied).numpy()
    return array
