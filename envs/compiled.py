"""Loops that numba compiles, for what numpy would do in too many small steps.

Imported by the surrogate's modules alone: numba takes half a second to import, which neither deployment nor
`import olrl.envs` should wait for.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import olrl
from olrl.learners.compiled import compiled as compiled_alone

_Function = TypeVar("_Function", bound=Callable[..., Any])
# Of the core, what constants are compiled in from.
_CORE = (
    "control/decision",
    "draws",
    "learners/quadratic",
    "memory",
    "monitor/detectors",
    "monitor/innovations",
)


def _version() -> str:
    """A name for the sources that machine code is made from."""
    core = Path(olrl.__file__).parent
    digest = hashlib.sha256()
    for path in [*sorted(Path(__file__).parent.glob("*.py")), *(core / f"{name}.py" for name in _CORE)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


_VERSION = _version()


def compiled(function: _Function) -> _Function:
    """As `olrl.learners.compiled`, for functions that call others or hold constants from other files.

    numba's cache would notice a change to the function's own file alone, so its name tells the rest.
    """
    function.__qualname__ = f"{function.__qualname__}_{_VERSION}"
    return compiled_alone(function)
