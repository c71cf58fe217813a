"""The architectures of the small models that ship, and their tokenizers: bytes, or merges of bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

SEPARATOR = 0  # the NUL byte, which accepted text never contains
BYTES = 256


@dataclass(frozen=True, kw_only=True)
class ByteModelShape:
    """Size of a Llama over bytes, and `merges` of them: tied embeddings, rotary positions, no biases."""

    width: int
    layers: int
    heads: int
    mlp: int
    merges: int = 0


SHAPES = {
    "nano": ByteModelShape(width=64, layers=2, heads=4, mlp=192),
    "pico": ByteModelShape(width=32, layers=1, heads=2, mlp=80),
    "mini": ByteModelShape(width=128, layers=4, heads=4, mlp=352),
    "bpe": ByteModelShape(width=128, layers=4, heads=4, mlp=352, merges=2048 - BYTES),
}


def build_model(shape: ByteModelShape, *, seed: int) -> "LlamaForCausalLM":
    """A randomly initialised model; the caller's global torch generator is left as it was."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=BYTES + shape.merges,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        intermediate_size=shape.mlp,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=SEPARATOR,
        eos_token_id=SEPARATOR,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


def build_log_bilinear(*, seed: int) -> "PreTrainedModel":
    """A randomly initialised log-bilinear model; the caller's global torch generator is left as it was."""
    import torch

    from olrl.models.log_bilinear import LogBilinearConfig, LogBilinearForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LogBilinearForCausalLM(LogBilinearConfig(bos_token_id=SEPARATOR, eos_token_id=SEPARATOR))


def build_tokenizer(merges: Sequence[tuple[str, str]] = ()) -> "PreTrainedTokenizerFast":
    """A real fast tokenizer of UTF-8 bytes, whose ids below 256 are the bytes themselves.

    `merges` are pairs of tokens in the byte-level alphabet that become one, the first in order first (Sennrich
    et al., 2016); the ids of what they make follow the bytes. Words are merged, not what lies across them, and
    any text comes back from its tokens, since what no merge covers stays bytes.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {_byte_symbol(byte): byte for byte in range(BYTES)}
    vocabulary |= {left + right: BYTES + rank for rank, (left, right) in enumerate(merges)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=list(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=bool(merges))
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)  # type: ignore[no-untyped-call] # theirs is untyped


def _byte_symbol(byte: int) -> str:
    """The character GPT-2's byte-level alphabet writes a byte as: itself if it prints, else one from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    if byte in printable:
        return chr(byte)
    return chr(0x100 + [b for b in range(BYTES) if b not in printable].index(byte))
