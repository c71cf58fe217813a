"""Low-rank adapters: what learns beside the frozen weights of a model, through `peft`."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_ADAPTER = "default"
_SYNTAX = "r=8, or r=8,alpha=16,targets=all-linear, or targets=q_proj+v_proj"


@dataclass(frozen=True, kw_only=True)
class Lora:
    """Adapters of rank `r` on the linear layers named by `targets` (Hu et al., 2022).

    Such a layer computes W x + alpha / r · B (A x); W stays as it is, A and B learn, and B starts at 0, so that an
    adapted model begins as the model was. `alpha` is 2 r where it is not given. `targets` are names, or ends of
    names, of linear layers; `all-linear` are all but the output.

    >>> Lora.parse("r=8,targets=q_proj+v_proj")
    Lora(r=8, alpha=16.0, targets=('q_proj', 'v_proj'))
    >>> Lora.parse("rank=8")
    Traceback (most recent call last):
    ...
    ValueError: lora does not know 'rank': write r=8, or r=8,alpha=16,targets=all-linear, or targets=q_proj+v_proj
    """

    r: int
    alpha: float = 0.0
    targets: tuple[str, ...] = ("all-linear",)

    def __post_init__(self) -> None:
        if self.r < 1:
            raise ValueError(f"the rank r of lora must be at least 1, not {self.r!r}")
        if not 0 <= self.alpha < float("inf"):
            raise ValueError(f"alpha of lora must be a positive number, not {self.alpha!r}")
        if not (self.targets and all(self.targets)):
            raise ValueError("targets of lora must name at least one layer, or be all-linear")
        if self.alpha == 0:
            object.__setattr__(self, "alpha", 2.0 * self.r)

    @classmethod
    def parse(cls, text: str) -> "Lora":
        """From how the command line writes it, `r=8,alpha=16,targets=q_proj+v_proj`; only `r` is needed."""
        kinds: dict[str, Any] = {"r": int, "alpha": float, "targets": lambda names: tuple(names.split("+"))}
        settings: dict[str, Any] = {}
        for part in text.split(","):
            name, _, value = (word.strip() for word in part.partition("="))
            if name not in kinds:
                raise ValueError(f"lora does not know {name!r}: write {_SYNTAX}")
            if name in settings:
                raise ValueError(f"lora names {name} twice: write {_SYNTAX}")
            try:
                settings[name] = kinds[name](value)
            except ValueError as error:
                raise ValueError(f"{name} of lora is a number, not {value!r}: write {_SYNTAX}") from error
        if "r" not in settings:
            raise ValueError(f"lora needs its rank r: write {_SYNTAX}")
        return cls(**settings)


def add_adapters(model: "PreTrainedModel", lora: Lora) -> None:
    """Put adapters into a model, in place; of its weights only theirs are trainable from then on.

    They begin at the same numbers each time, and the caller's global torch generator is left as it was. Raises
    ValueError in one sentence if peft is not installed, or the model has no layer of the targets' names.
    """
    if find_spec("peft") is None:
        raise ValueError("--lora needs peft, which is not installed: pip install 'olrl[lora]'")
    import torch
    from peft import LoraConfig, inject_adapter_in_model
    from transformers.pytorch_utils import Conv1D

    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,  # type: ignore[arg-type] # said to be whole, and used as a factor
        target_modules="all-linear" if lora.targets == ("all-linear",) else list(lora.targets),
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),  # GPT-2 transposes
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            inject_adapter_in_model(config, model, adapter_name=_ADAPTER)
        except ValueError as error:
            named = "" if config.target_modules == "all-linear" else f" named {' or '.join(lora.targets)}"
            raise ValueError(f"{type(model).__name__} has no linear layers{named} to adapt") from error
    for weights in model.parameters():
        if weights.requires_grad:  # a step of 1e-3 on 0.1 would be lost in bfloat16
            weights.data = weights.data.float()


def merged_weights(model: "PreTrainedModel") -> "dict[str, torch.Tensor]":
    """The weights that a model without adapters needs to compute the same, under that model's names.

    W + alpha / r · B A in place of the three, in float32, since bfloat16 could round away most of what was learned,
    and on the CPU, since such copies may not fit beside the model. The model itself is left as it is.
    """
    import torch
    from peft.tuners.lora import Linear

    merged = dict(model.state_dict())
    for name, module in model.named_modules():
        if isinstance(module, Linear):
            weight = f"{name}.base_layer.weight"
            with torch.no_grad():
                learned = module.get_delta_weight(_ADAPTER)
                merged[weight] = (merged[weight].float() + learned.float()).cpu()
    return {
        name.replace(".base_layer.", "."): weights for name, weights in merged.items() if ".lora_" not in name
    }
