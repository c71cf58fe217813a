"""A log-bilinear language model over bytes: real text at a hundredth of the arithmetic of attention."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

MODEL_TYPE = "olrl-log-bilinear"
NIBBLES = 16


class LogBilinearConfig(PretrainedConfig):  # type: ignore[no-untyped-call] # theirs is untyped
    """`context` bytes are looked at; each has a vector of `width` numbers for each place it can stand in."""

    model_type = MODEL_TYPE

    def __init__(self, *, context: int = 6, width: int = 16, vocab_size: int = 256, **kwargs: Any) -> None:
        if vocab_size != NIBBLES**2:
            raise ValueError(f"this model predicts bytes: vocab_size must be 256, not {vocab_size!r}")
        self.context, self.width, self.vocab_size = context, width, vocab_size
        super().__init__(**kwargs)


class LogBilinearForCausalLM(PreTrainedModel):  # type: ignore[no-untyped-call] # theirs is untyped
    """Predicts a byte from the sum of vectors of the bytes before it, the high half first and then the low half.

        h = Σ_j contexts[j, x_(t−j)]
        p(high) = softmax(high · h + high_bias)
        p(low | high) = softmax(low · (h ∘ gate[high]) + low_bias[high])

    The log-bilinear model of Mnih and Hinton (2007) with a two-level tree over the bytes in place of a softmax
    over all of them (as in their model of 2009): 32 logits a byte, not 256. Before a text's first byte stand
    zeros.
    """

    config_class = LogBilinearConfig
    base_model_prefix = ""
    main_input_name = "input_ids"

    def __init__(self, config: LogBilinearConfig) -> None:
        super().__init__(config)
        k, d = config.context, config.width
        # In the order in which LogBilinearNetwork finds them in one vector.
        self.contexts = nn.Parameter(torch.empty(k, config.vocab_size, d))
        self.high = nn.Parameter(torch.empty(NIBBLES, d))
        self.gate = nn.Parameter(torch.empty(NIBBLES, d))
        self.low = nn.Parameter(torch.empty(NIBBLES, d))
        self.low_bias = nn.Parameter(torch.empty(NIBBLES, NIBBLES))
        self.high_bias = nn.Parameter(torch.empty(NIBBLES))
        self.post_init()  # type: ignore[no-untyped-call] # theirs is untyped

    def _init_weights(self, module: nn.Module) -> None:
        if module is not self:
            return
        for weight in (self.contexts, self.high, self.low):
            nn.init.normal_(weight, std=0.1)
        nn.init.ones_(self.gate)
        nn.init.zeros_(self.low_bias)
        nn.init.zeros_(self.high_bias)

    def forward(self, input_ids: Tensor, **_: Any) -> CausalLMOutput:
        """Log probabilities of each next byte, shape (B, T, 256), as logits."""
        places = context_bytes(input_ids, self.config.context)
        place = torch.arange(self.config.context, device=input_ids.device)
        h = self.contexts[place, places].sum(dim=2)
        high = functional.log_softmax(h @ self.high.T + self.high_bias, dim=-1)
        gated = h[:, :, None] * self.gate
        low = functional.log_softmax(gated @ self.low.T + self.low_bias, dim=-1)
        return CausalLMOutput(logits=(high[..., None] + low).flatten(2))


def context_bytes(tokens: Tensor, context: int) -> Tensor:
    """The `context` bytes up to each place of (..., T), the newest last: (..., T, context)."""
    return functional.pad(tokens, (context - 1, 0)).unfold(-1, context, 1)


AutoConfig.register(MODEL_TYPE, LogBilinearConfig)
AutoModelForCausalLM.register(LogBilinearConfig, LogBilinearForCausalLM)
