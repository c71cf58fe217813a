import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import olrl.models.load as models
from olrl.control.decision import Base
from olrl.learners.causal_lm import CausalLMLearner
from olrl.models.load import load_model

PICO = Path(models.__file__).parent / "pico"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PICO, tmp_path / "model"))


def without_a_tensor(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights.pop("model.layers.0.mlp.up_proj.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def of_another_shape(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = np.ones(7, dtype=np.float32)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no weights"),
    "damaged weights": (lambda f: (f / "model.safetensors").write_bytes(b"\xff" * 100), "cannot load"),
    "a tensor missing": (without_a_tensor, "lacks 1 of its weights"),
    "a tensor of another shape": (of_another_shape, "cannot load"),
    "no config": (lambda f: (f / "config.json").unlink(), "no config.json"),
    "settings that are a list": (lambda f: (f / "olrl.json").write_text("[]"), "not what olrl writes"),
    "settings without sense": (lambda f: (f / "olrl.json").write_text('{"seq_len": 0}'), "seq_len"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_folder_is_refused_in_one_sentence(folder: Path, case: str) -> None:
    damage, message = BROKEN[case]
    damage(folder)
    with pytest.raises(ValueError, match=message) as caught:
        load_model(str(folder))
    assert "\n" not in str(caught.value)


def test_a_device_that_is_not_there_is_refused_in_one_sentence() -> None:
    with pytest.raises(ValueError, match="'nowhere' cannot be used"):
        load_model("pico", device="nowhere")


def test_what_is_saved_loads_with_the_same_losses_and_settings(tmp_path: Path) -> None:
    loaded = load_model("pico")
    loaded.save(tmp_path / "again")
    again = load_model(str(tmp_path / "again"))
    tokens = np.arange(33, 98, dtype=np.int32)[None]
    first, second = (CausalLMLearner(each.model).score(tokens) for each in (loaded, again))
    np.testing.assert_array_equal(first, second)
    assert (again.base, again.fixed, again.seq_len) == (loaded.base, loaded.fixed, loaded.seq_len)
    assert again.tokenizer.encode("aé€")[0].tolist() == list("aé€".encode())


def test_shipped_bases_are_those_of_the_tuning_records() -> None:
    tuned = Path(models.__file__).parents[2] / "agents" / "tuned"
    for name in models.SHIPPED:
        record, loaded = tuned / f"fixed-{name}.json", load_model(name)
        if record.exists():
            settings = json.loads(record.read_text(encoding="utf-8"))["settings"]
            assert loaded.fixed == Base(**settings)
        else:
            assert (loaded.base, loaded.fixed) == (None, None)
