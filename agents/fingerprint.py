"""What decides a run beside its settings, as one hash: then a cached result is never a stale one."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import olrl
from olrl.control.registry import CONTROLLERS
from olrl.models.load import SHIPPED

PACKAGES = ("olrl", "numpy", "torch", "transformers", "tokenizers")
# Beside these, what only some rivals need; `None` stands for one that is not installed.
RIVAL_PACKAGES = ("schedulefree", "prodigyopt", "optuna", "cmaes", "ray", "scikit-learn")
_CORE = Path(olrl.__file__).parent
# What a run goes through; the rest of the core can change without changing a number.
_ROOMS = ("streams", "models", "learners", "monitor", "control")
_MODULES = (
    "assembly.py",
    "draws.py",
    "labelled_loop.py",
    "loop.py",
    "memory.py",
    "tasks.py",
    "agents/evaluation/play.py",
)


def fingerprint(places: Sequence[Path], *, builtin: bool, stream: str | None = None) -> str:
    """Hash of package versions, the code of any run, the files at `places` and, if `builtin`, the corpus.

    With a `stream`, a SOURCE, of its text too: of files as they are, of a scenario's documents, whatever they are
    read from. What lies elsewhere (`hf:`) is not looked at.
    """
    versions = {name: _version(name) for name in (*PACKAGES, *RIVAL_PACKAGES)}
    digest = hashlib.sha256(json.dumps(versions).encode())
    if builtin:
        from olrl.streams.corpus import corpus_sha256

        digest.update(corpus_sha256().encode())
    rules = {file for name in CONTROLLERS for file in rule_places(name)}
    code = [file for room in _ROOMS for file in (_CORE / room).rglob("*.py") if file not in rules]
    for file in sorted([*code, *(_CORE / name for name in _MODULES)]):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    if stream is not None and stream.startswith("scenario:"):
        digest.update(_scenario_sha256(stream).encode())
    elif stream is not None and not stream.startswith("builtin:"):
        places = [*places, Path(stream)]
    for place in places:
        _add(place, digest)
    return digest.hexdigest()


def text_sha256(stream: str | None) -> str | None:
    """Hash of the files that a SOURCE names; None where it names none (builtin text, scenarios, `hf:`)."""
    if stream is None or not Path(stream).exists():
        return None
    digest = hashlib.sha256()
    _add(Path(stream), digest)
    return digest.hexdigest()


def _add(place: Path, digest: "hashlib._Hash") -> None:
    for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
        if file.is_file() and file.suffix != ".md":
            digest.update(file.name.encode() + b"\0" + file.read_bytes())


@lru_cache(maxsize=4)
def _scenario_sha256(stream: str) -> str:
    from olrl.streams.scenarios import open_scenario

    digest = hashlib.sha256()
    for document in open_scenario(stream.partition(":")[2]):
        digest.update(json.dumps(asdict(document)).encode())
    return digest.hexdigest()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def model_place(name: str) -> Path:
    """The folder of a shipped model, or the one that is named."""
    return _CORE / "models" / name if name in SHIPPED else Path(name)


def policy_place(name: str) -> Path:
    """The folder of the shipped policy, or the one that is named."""
    return _CORE / "policies" / "default" if name == "default" else Path(name)


def rule_places(name: str) -> list[Path]:
    """The module of a rule, if it has one of its own, and the table that it is found in."""
    own = _CORE / "control" / f"{name.replace('-', '_')}.py"
    return [place for place in (own, _CORE / "control" / "registry.py") if place.is_file()]
