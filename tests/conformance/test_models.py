"""The same questions for every model that ships."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

import olrl.models.load
from olrl.learners.causal_lm import CausalLMLearner
from olrl.models.load import SHIPPED, LoadedModel, load_model

LIMIT_BYTES = {"mini": 2_000_000, "bpe": 4_000_000}  # the others 1 MB
MERGED = ("bpe",)  # tokens of several bytes
FOLDER = Path(olrl.models.load.__file__).parent
TEXT = "Grüße, 世界: 𝄞 for i in range(3):\n\tprint(i)\n"


@pytest.fixture(scope="module", params=SHIPPED)
def loaded(request: pytest.FixtureRequest) -> LoadedModel:
    return load_model(request.param)


def sequences() -> Any:
    return np.random.default_rng(0).integers(1, 256, size=(4, 17)).astype(np.int32)


def test_is_small_and_holds_nothing_but_weights_and_settings(loaded: LoadedModel) -> None:
    files = list((FOLDER / loaded.name).iterdir())
    assert sum(path.stat().st_size for path in files) < LIMIT_BYTES.get(loaded.name, 1_000_000)
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md"}


def test_knows_its_base_and_its_tuned_constant_setting(loaded: LoadedModel) -> None:
    assert (loaded.base is not None, loaded.fixed is not None) == (True, True)


def test_predicts_better_than_chance(loaded: LoadedModel) -> None:
    text = "The function returns the value of the first argument that is given to it, and"
    tokens, n_bytes = loaded.tokenizer.encode(text)
    loss_nats = CausalLMLearner(loaded.model).score(np.asarray(tokens)[None])
    assert float(loss_nats[0]) * (len(tokens) - 1) / n_bytes[1:].sum() < np.log(256) / 1.5


def test_two_loads_are_independent(loaded: LoadedModel) -> None:
    before = CausalLMLearner(loaded.model).score(sequences())
    other = load_model(loaded.name)
    for parameter in other.model.parameters():
        parameter.data.zero_()
    assert CausalLMLearner(loaded.model).score(sequences()).tolist() == before.tolist()


def test_saved_and_loaded_it_scores_to_the_bit(loaded: LoadedModel, tmp_path: Path) -> None:
    loaded.save(tmp_path)
    again = load_model(str(tmp_path))
    assert (again.base, again.fixed, again.seq_len) == (loaded.base, loaded.fixed, loaded.seq_len)
    scores = [CausalLMLearner(model).score(sequences()).tolist() for model in (loaded.model, again.model)]
    assert scores[0] == scores[1]


def test_any_text_comes_back_from_its_tokens_and_every_byte_counts_once(loaded: LoadedModel) -> None:
    tokens, n_bytes = loaded.tokenizer.encode(TEXT)
    assert int(np.sum(n_bytes)) == len(TEXT.encode())
    assert loaded.hf_tokenizer.decode(list(tokens)) == TEXT
    if loaded.name not in MERGED:
        assert list(tokens) == list(TEXT.encode())


def test_the_separator_occurs_in_no_text(loaded: LoadedModel) -> None:
    every = "".join(map(chr, [*range(1, 0xD800), *range(0xE000, 0x10000)])) + "<|endoftext|></s>"
    tokens, _ = loaded.tokenizer.encode(every)
    assert loaded.tokenizer.separator not in tokens.tolist()
    assert int(max(tokens)) < loaded.tokenizer.vocab_size == loaded.model.config.vocab_size


def test_weights_are_finite_and_loaded_as_they_are_stored(loaded: LoadedModel) -> None:
    """Those kept as bfloat16 are float32 when loaded, of the same value."""
    parameters = dict(loaded.model.named_parameters())
    with safe_open(FOLDER / loaded.name / "model.safetensors", framework="pt") as weights:
        for name in weights.keys():  # noqa: SIM118 # not a mapping
            stored = weights.get_tensor(name)
            assert stored.dtype == (torch.bfloat16 if loaded.name in LIMIT_BYTES else torch.float32)
            assert bool(torch.isfinite(stored).all())
            assert parameters[name].dtype == torch.float32
            assert torch.equal(parameters[name], stored.float())
