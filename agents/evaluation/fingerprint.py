"""What decides a run beside its settings, as one hash: then a cached result is never a stale one."""

import ast
import hashlib
import inspect
import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import olrl
from olrl.control.registry import CONTROLLERS
from olrl.models.load import SHIPPED

from ..rivals.registry import ENTRANTS

PACKAGES = ("olrl", "numpy", "torch", "transformers", "tokenizers")
# Beside these, what only some rivals need; `None` stands for one that is not installed.
RIVAL_PACKAGES = ("schedulefree", "prodigyopt", "optuna", "cmaes")
_CORE = Path(olrl.__file__).parent
_AGENTS = Path(__file__).parent.parent
_RIVALS, _TUNED = _AGENTS / "rivals", _AGENTS / "tuned"
# What a run goes through; the rest of the core can change without changing a number.
_ROOMS = ("streams", "models", "learners", "monitor", "control")
_MODULES = ("assembly.py", "draws.py", "loop.py", "memory.py", "agents/evaluation/play.py")


# The entrants' common module imports these for the tuner: they decide what is tried, and not how a run goes.
_COMMON, _OF_TUNING = "entrant.py", ("search.py", "space.py")


def fingerprint(places: Sequence[Path], *, builtin: bool) -> str:
    """Hash of package versions, the code of any run, the files at `places` and, if `builtin`, the corpus."""
    versions = {name: _version(name) for name in (*PACKAGES, *RIVAL_PACKAGES)}
    digest = hashlib.sha256(json.dumps(versions).encode())
    if builtin:
        from olrl.streams.corpus import corpus_sha256

        digest.update(corpus_sha256().encode())
    rules = {file for name in CONTROLLERS for file in _rule_places(name)}
    code = [file for room in _ROOMS for file in (_CORE / room).rglob("*.py") if file not in rules]
    for file in sorted([*code, *(_CORE / name for name in _MODULES)]):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    for place in places:
        for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if file.is_file() and file.suffix != ".md":
                digest.update(file.name.encode() + b"\0" + file.read_bytes())
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


def entrant_places(name: str) -> list[Path]:
    """What decides an entrant beside what all runs go through: its code and its tuned settings."""
    tuned = [_TUNED / f"{name}.json", _TUNED / name]
    return [*code_places(name), *(place for place in tuned if place.exists())]


def code_places(name: str) -> list[Path]:
    """The code of an entrant: the module it is declared in, that of its class, and all that they import here.

    For a rule of the core, that rule too. What else lies in these rooms (how policies are trained, other rivals)
    can change without changing a number of it.
    """
    declared = _RIVALS / f"{name.replace('-', '_')}.py"
    modules = {Path(inspect.getfile(type(ENTRANTS[name]))), *([declared] if declared.is_file() else [])}
    found = {place for module in modules for place in _imported_by(module)}
    return [*sorted(found), *(_rule_places(name) if name in CONTROLLERS else [])]


def _rule_places(name: str) -> list[Path]:
    """The module of a rule, if it has one of its own, and the table that it is found in."""
    own = _CORE / "control" / f"{name.replace('-', '_')}.py"
    return [place for place in (own, _CORE / "control" / "registry.py") if place.is_file()]


def _imported_by(module: Path) -> list[Path]:
    """A module of these rooms with all that it imports there, by relative imports, and they in turn."""
    found: list[Path] = []
    waiting = [module]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.append(file)
        waiting += [
            path
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.ImportFrom) and node.level
            for path in _modules(node, file)
            if not (file.name == _COMMON and path.name in _OF_TUNING)
        ]
    return sorted(found)


def _modules(node: ast.ImportFrom, file: Path) -> list[Path]:
    """The modules that a relative import in a file reads."""
    place = file.parents[node.level - 1].joinpath(*(node.module or "").split("."))
    names = [place, *(place / alias.name for alias in node.names)]
    return [path for path in (name.with_suffix(".py") for name in names) if path.is_file()]
