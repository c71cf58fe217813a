import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from olrl.control.policy import FrozenPolicy, load_policy
from tests.control.networks import random_policy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random_policy().save(tmp_path / "policy")
    return tmp_path / "policy"


def test_what_is_saved_is_what_is_loaded(folder: Path) -> None:
    saved, loaded = random_policy(), load_policy(folder)
    assert loaded.description() == saved.description()
    assert loaded.card == saved.card
    observations = np.random.default_rng(0).standard_normal((20, len(saved.mean))).astype(np.float32)
    assert (loaded.logits(observations) == saved.logits(observations)).all()
    assert sorted(path.name for path in folder.iterdir()) == ["CARD.md", "policy.json", "policy.safetensors"]


def test_saving_again_replaces_the_policy_and_leaves_nothing_beside_it(folder: Path) -> None:
    random_policy(seed=1).save(folder)
    assert load_policy(folder).training["seed"] == 1
    assert [path.name for path in folder.parent.iterdir()] == ["policy"]


def test_saving_does_not_touch_a_folder_that_holds_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="holds something else"):
        random_policy().save(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_the_quantiles_of_training_may_be_unknown(tmp_path: Path) -> None:
    replace(random_policy(), quantiles=None).save(tmp_path / "policy")
    assert load_policy(tmp_path / "policy").quantiles is None


def refused(folder: Path, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        FrozenPolicy.load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("where", [0, 7, 100, -1])
def test_a_flipped_bit_in_the_weights_is_noticed(folder: Path, where: int) -> None:
    data = bytearray((folder / "policy.safetensors").read_bytes())
    data[where] ^= 1
    (folder / "policy.safetensors").write_bytes(bytes(data))
    refused(folder, "is damaged: its sha256")


TAMPERED: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    ("format", lambda d: d.update(format=2), "unknown format 2"),
    ("format type", lambda d: d.update(format=True), "unknown format True"),
    ("no format", lambda d: d.pop("format"), "unknown format None"),
    ("unknown key", lambda d: d.update(code="import os"), "unknown key 'code'"),
    ("lacking key", lambda d: d.pop("network"), "lacks the key 'network'"),
    ("sha256", lambda d: d["weights"].update(sha256="0"), "damaged"),
    ("path", lambda d: d["weights"].update(file="../../etc/passwd"), "damaged"),
    ("feature version", lambda d: d["features"].update(version=7), "version 7"),
    ("feature unit", lambda d: d["features"]["features"][0].update(unit=3), "feature 0"),
    ("features type", lambda d: d.update(features=[]), "feature spec"),
    ("mean length", lambda d: d["normalisation"]["mean"].pop(), "mean must be"),
    ("mean type", lambda d: d["normalisation"].update(mean="x"), "mean must be numbers"),
    ("mean ragged", lambda d: d["normalisation"].update(mean=[[1], [1, 2]]), "equal length"),
    ("std sign", lambda d: d["normalisation"]["std"].__setitem__(0, -1), "std must be positive"),
    ("clip", lambda d: d["normalisation"].update(clip=0), "clip must be"),
    ("clip list", lambda d: d["normalisation"].update(clip=[1, 2]), "clip must be"),
    ("clip huge", lambda d: d["normalisation"].update(clip=10**400), "clip must be"),
    ("normalisation keys", lambda d: d["normalisation"].pop("clip"), "normalisation must be"),
    ("quantile levels", lambda d: d["quantiles"].update(levels=[0.5]), "quantiles must be at"),
    ("quantile values", lambda d: d["quantiles"].update(values=[[1.0]]), "quantiles must be"),
    ("coding name", lambda d: d["actions"].update(name="__import__"), "unknown action coding"),
    ("coding nvec", lambda d: d["actions"].update(nvec=[3, 3, 3, 9]), "action spec"),
    ("coding settings", lambda d: d["actions"].update(settings={"beta": 1}), "settings"),
    ("coding settings type", lambda d: d["actions"].update(settings=3), "settings"),
    ("activation", lambda d: d["network"].update(activation="relu"), "must be 'tanh'"),
    ("sizes", lambda d: d["network"]["sizes"].insert(1, 5), "the weights are"),
    ("sizes huge", lambda d: d["network"].update(sizes=[60, 10**9, 11]), "sizes must be"),
    ("sizes type", lambda d: d["network"].update(sizes=[60, "32", 11]), "sizes must be"),
    ("versions", lambda d: d.update(versions=[]), "versions must be"),
    ("training", lambda d: d.update(training="me"), "training must be"),
]


@pytest.mark.parametrize(("change", "message"), [t[1:] for t in TAMPERED], ids=[t[0] for t in TAMPERED])
def test_a_description_that_was_tampered_with_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    path = folder / "policy.json"
    description = json.loads(path.read_text())
    change(description)
    path.write_text(json.dumps(description))
    refused(folder, message)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "{",
        '{"format": NaN}',
        '{"format": 1, "format": 1}',
        "[" * 100_000,
        '{"format": ' + "9" * 5_000 + "}",
        "\udcff",
    ],
    ids=["empty", "list", "cut off", "NaN", "twice", "nested", "digits", "not utf-8"],
)
def test_a_description_that_is_no_description_is_refused(folder: Path, text: str) -> None:
    (folder / "policy.json").write_bytes(text.encode("utf-8", errors="surrogateescape"))
    refused(folder, "policy.json")


def with_weights(folder: Path, data: bytes) -> None:
    """Weights that match their sha256, as a forger would write them."""
    (folder / "policy.safetensors").write_bytes(data)
    description = json.loads((folder / "policy.json").read_text())
    description["weights"]["sha256"] = hashlib.sha256(data).hexdigest()
    (folder / "policy.json").write_text(json.dumps(description))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("layers/0/bias"), "the weights are"),
        (lambda w: w.update({"more": np.zeros(1, dtype=np.float32)}), "the weights are"),
        (lambda w: w.update({"layers/0/bias": np.zeros(3, dtype=np.float32)}), "the weights are"),
        (lambda w: w.update({"layers/0/bias": np.zeros(32)}), "float32"),
        (lambda w: w.update({"layers/0/bias": np.full(32, np.inf, dtype=np.float32)}), "finite"),
    ],
)
def test_forged_weights_are_refused(
    folder: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    weights = safetensors.numpy.load((folder / "policy.safetensors").read_bytes())
    change(weights)
    with_weights(folder, safetensors.numpy.save(weights))
    refused(folder, message)


@pytest.mark.parametrize("data", [b"", b"\x80\x04cos\nsystem\n", b"\xff" * 64])
def test_weights_that_are_no_safetensors_are_refused(folder: Path, data: bytes) -> None:
    with_weights(folder, data)
    refused(folder, "not a readable safetensors file")


@pytest.mark.parametrize("name", ["policy.json", "policy.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    refused(folder, f"it has no {name}")


def test_an_oversized_file_is_not_read_to_the_end(folder: Path) -> None:
    with (folder / "policy.json").open("r+b") as file:
        file.truncate(5 << 20)
    refused(folder, "larger than the 4 MiB")


def test_a_training_librarys_zip_is_refused_with_the_cure(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("data", "anything")
    with pytest.raises(ValueError, match=r"is a zip .*; expected a policy folder: .*olrl export"):
        load_policy(tmp_path / "model.zip")
    (tmp_path / "model.pt").write_bytes(b"weights")
    with pytest.raises(ValueError, match="is a file; expected a policy folder"):
        load_policy(tmp_path / "model.pt")


def test_a_joint_output_is_said_and_read_and_any_other_is_refused(folder: Path) -> None:
    heads = load_policy(folder)
    assert "output" not in heads.description()["network"]  # the usual kind of file is what it always was
    with pytest.raises(ValueError, match="gives 11 logits, but the actions need 54"):
        replace(heads, output="joint")
    description = json.loads((folder / "policy.json").read_text())
    description["network"]["output"] = "softmax"
    (folder / "policy.json").write_text(json.dumps(description))
    refused(folder, "must be heads or joint, not 'softmax'")


def test_a_range_is_optional_and_what_is_no_range_is_refused(folder: Path) -> None:
    description = json.loads((folder / "policy.json").read_text())
    assert "range" not in description
    (folder / "policy.json").write_text(json.dumps({**description, "range": {"version": 1}}))
    refused(folder, "a training range must be an object with")
