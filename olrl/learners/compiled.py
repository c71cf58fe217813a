"""Functions compiled for the CPU at hand."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """`function` compiled by numba when it is first called, in nopython mode, and kept on disk for later runs.

    Sums may be taken in another order and products be fused with sums, which is what vector instructions need;
    NaN and infinity keep their meaning. It runs without the interpreter's lock. Whatever compiled functions call
    belongs in their own file: numba looks at the age of that file alone to tell whether what it kept is still
    true.
    """
    settings: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": {"reassoc", "contract", "nsz"},
    }
    try:
        made: Any = numba.njit(function, cache=True, **settings)
    except RuntimeError:  # nowhere to keep it, as in a read-only installation without a home
        made = numba.njit(function, **settings)
    compiled_function: Function = made
    return compiled_function


def inlined(function: Function) -> Function:
    """A part of a compiled function, put in place of its calls before anything is translated.

    A compiled function that called another compiled one would be translated with or without a look into it, by
    what this process has compiled and what it has read from disk, and would round accordingly.
    """
    return cast(Function, numba.njit(inline="always", error_model="numpy")(function))


def _add_16(_: Any, to: Any, i: Any, source: Any, j: Any) -> Any:
    """For compiled functions: to[i : i + 16] += source[j : j + 16], of one-dimensional float32 arrays.

    One vector sum. Numba unrolls a loop of so few turns and leaves sixteen sums of single numbers, six times
    slower.
    """

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(ir.FloatType(), 16)

        def at(k: int) -> Any:
            array = context.make_array(signature.args[k])(context, builder, arguments[k])
            return builder.bitcast(builder.gep(array.data, [arguments[k + 1]]), vector.as_pointer())

        place = at(0)
        total = builder.fadd(builder.load(place, align=4), builder.load(at(2), align=4))
        builder.store(total, place, align=4)
        return context.get_dummy_value()

    return numba.types.void(to, i, source, j), build


add_16: Callable[[NDArray[np.float32], int, NDArray[np.float32], int], None] = cast(Any, intrinsic(_add_16))
