"""What a model writes while the style of its stream changes: samples at the end of every stretch."""

from itertools import pairwise
from typing import Any

import numpy as np
import torch

from olrl.assembly import LoopConfig, assemble_loop, cut_chunks
from olrl.control.guard import Guard
from olrl.control.policy import load_policy
from olrl.learners.causal_lm import CausalLMLearner
from olrl.models.load import load_model
from olrl.streams.scenarios import open_scenario

PROMPT = "The "
LENGTH, TEMPERATURE = 160, 0.7


def samples(source: str, *, model: str, seed: int = 0) -> list[dict[str, Any]]:
    """Text that the model writes behind the same prompt, before it has learned and after each stretch of a stream.

    The frozen policy that ships steers it. Each entry has `round`, `after` (the source of the stretch that ended,
    nothing for the first) and `text`. Sampled at a temperature of 0.7 by `seed`, the same luck each time.
    """
    loaded = load_model(model)
    assert loaded.base is not None
    config = LoopConfig(seq_len=loaded.seq_len, seed=seed)
    chunks = list(cut_chunks(open_scenario(source), loaded.tokenizer, config))
    ends = [k for k, (a, b) in enumerate(pairwise(chunks)) if a.segment != b.segment] + [len(chunks) - 1]
    learner = CausalLMLearner(loaded.model)
    loop = assemble_loop(iter(chunks), learner, base=loaded.base, config=config)
    controller, guard = load_policy("default").controller(base=loaded.base), Guard(base=loaded.base)
    written = [{"round": 0, "after": "", "text": write(loaded, seed=seed)}]
    for k, chunk in enumerate(chunks):
        signals = loop.observe()
        assert signals is not None
        decision, _ = guard.check(controller.decide(signals), signals)
        loop.apply(decision)
        if k in ends:
            written.append({"round": k + 1, "after": chunk.source, "text": write(loaded, seed=seed)})
    return written


def write(loaded: Any, *, seed: int, prompt: str = PROMPT, length: int = LENGTH) -> str:
    """`prompt` and what the model writes behind it, up to `length` tokens; draws from a generator of its own."""
    ids = [loaded.tokenizer.separator, *loaded.tokenizer.encode(prompt)[0].tolist()]
    rng = np.random.default_rng(seed)
    for _ in range(length):
        with torch.inference_mode():
            logits = loaded.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
        probabilities = torch.softmax(logits.double() / TEMPERATURE, dim=0).numpy()
        ids.append(int(np.searchsorted(probabilities.cumsum(), rng.random() * probabilities.sum())))
    text: str = loaded.hf_tokenizer.decode(ids[1:])
    return text
