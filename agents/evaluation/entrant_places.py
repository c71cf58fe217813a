"""What decides what an entrant does: the code it is made of, and what it was tuned to."""

import ast
import inspect
from pathlib import Path

from olrl.control.registry import CONTROLLERS

from ..fingerprint import rule_places
from ..rivals.registry import ENTRANTS

_AGENTS = Path(__file__).parent.parent
_RIVALS, _TUNED = _AGENTS / "rivals", _AGENTS / "tuned"
# The entrants' common module imports these for the tuner: they decide what is tried, and not how a run goes.
_COMMON, _OF_TUNING = "entrant.py", ("search.py", "space.py")


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
    return [*sorted(found), *(rule_places(name) if name in CONTROLLERS else [])]


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
