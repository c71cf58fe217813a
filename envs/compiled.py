"""Loops that numba compiles, for what numpy would do in too many small steps.

Imported by the surrogate's modules alone: numba takes half a second to import, which neither deployment nor
`import olrl.envs` should wait for.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """The function as machine code, compiled when first called and kept in a cache beside its source.

    It runs without the interpreter's lock. Sums may be taken in another order and multiplications fused, but
    infinities and NaN are those of numpy. The cache is renewed when the function's own file changes, but not
    when a function or constant that it takes from another file does: so keep what calls each other together.
    """
    fast = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
    return cast(_Function, fast(function))


def inlined(function: _Function) -> _Function:
    """A part of a compiled function, put in place of its calls."""
    return cast(_Function, njit(inline="always", error_model="numpy")(function))
