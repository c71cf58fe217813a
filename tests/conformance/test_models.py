"""The same questions for every model that ships."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

import olrl.models.load
from olrl.learners.causal_lm import CausalLMLearner
from olrl.models.load import SHIPPED, LoadedModel, load_model

LIMIT_BYTES = 1_000_000
FOLDER = Path(olrl.models.load.__file__).parent
TEXT = "Grüße, 世界: 𝄞 for i in range(3):\n\tprint(i)\n"


@pytest.fixture(scope="module", params=SHIPPED)
def loaded(request: pytest.FixtureRequest) -> LoadedModel:
    return load_model(request.param)


def sequences() -> Any:
    return np.random.default_rng(0).integers(1, 256, size=(4, 17)).astype(np.int32)


def test_is_small_and_holds_nothing_but_weights_and_settings(loaded: LoadedModel) -> None:
    files = list((FOLDER / loaded.name).iterdir())
    assert sum(path.stat().st_size for path in files) < LIMIT_BYTES
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md"}


def test_knows_its_base_and_its_tuned_constant_setting(loaded: LoadedModel) -> None:
    assert loaded.base is not None
    assert loaded.fixed is not None


def test_predicts_better_than_chance(loaded: LoadedModel) -> None:
    text = "The function returns the value of the first argument that is given to it, and"
    tokens, _ = loaded.tokenizer.encode(text)
    loss = CausalLMLearner(loaded.model).score(np.asarray(tokens)[None])
    assert float(loss[0]) < np.log(256) / 1.5


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


def test_tokens_are_the_bytes_and_back(loaded: LoadedModel) -> None:
    tokens, n_bytes = loaded.tokenizer.encode(TEXT)
    assert list(tokens) == list(TEXT.encode())
    assert int(np.sum(n_bytes)) == len(TEXT.encode())
    assert loaded.hf_tokenizer.decode(list(tokens)) == TEXT


def test_weights_are_float32_and_finite(loaded: LoadedModel) -> None:
    with safe_open(FOLDER / loaded.name / "model.safetensors", framework="np") as weights:
        for name in weights.keys():  # noqa: SIM118 # not a mapping
            array = weights.get_tensor(name)
            assert array.dtype == np.float32
            assert np.isfinite(array).all()
