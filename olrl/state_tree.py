"""States as JSON and arrays: a tree of plain values, cut into what JSON can hold and what it cannot."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ARRAY, _TUPLE, _NUMBER, _BYTES = "$array", "$tuple", "$number", "$bytes"
_MARKS = (_ARRAY, _TUPLE, _NUMBER, _BYTES)


def split(state: Any) -> tuple[Any, dict[str, NDArray[Any]]]:
    """A state as strict JSON, and its arrays by the place they had in it.

    Floats keep every bit. Tuples, bytes, floats that are not finite and numpy's scalars come back as they were,
    the last as Python's own. Raises ValueError, naming the place, for anything else.

    >>> plain, arrays = split({"rate": float("inf"), "seen": (1, np.arange(3))})
    >>> plain
    {'rate': {'$number': 'inf'}, 'seen': {'$tuple': [1, {'$array': '/seen/1'}]}}
    >>> join(plain, arrays)
    {'rate': inf, 'seen': (1, array([0, 1, 2]))}
    """
    arrays: dict[str, NDArray[Any]] = {}
    return _split(state, "", arrays), arrays


def _split(value: Any, place: str, arrays: dict[str, NDArray[Any]]) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {_NUMBER: repr(value)}
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise ValueError(f"the array at {place or '/'} of a state holds objects, not numbers")
        while place in arrays:  # {"a/b": …} and {"a": {"b": …}} have the same place
            place += "'"
        arrays[place] = np.ascontiguousarray(value).reshape(value.shape)  # contiguous ones have a dimension
        return {_ARRAY: place}
    if isinstance(value, bytes):
        return {_BYTES: value.hex()}
    if isinstance(value, tuple):
        return {_TUPLE: [_split(item, f"{place}/{k}", arrays) for k, item in enumerate(value)]}
    if isinstance(value, list):
        return [_split(item, f"{place}/{k}", arrays) for k, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {_key(name, place): _split(item, f"{place}/{name}", arrays) for name, item in value.items()}
    raise ValueError(f"{type(value).__name__} at {place or '/'} of a state cannot be saved")


def _key(name: Any, place: str) -> str:
    if not isinstance(name, str) or name in _MARKS:
        raise ValueError(
            f"the key {name!r} at {place or '/'} of a state cannot be saved: it must be other text"
        )
    return name


def join(plain: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """The state that `split` cut; KeyError if an array is missing."""
    if isinstance(plain, list):
        return [join(item, arrays) for item in plain]
    if not isinstance(plain, dict):
        return plain
    match plain:
        case {"$array": str(place)}:
            return arrays[place]
        case {"$tuple": list(items)}:
            return tuple(join(item, arrays) for item in items)
        case {"$number": str(text)}:
            return float(text)
        case {"$bytes": str(text)}:
            return bytes.fromhex(text)
    return {name: join(item, arrays) for name, item in plain.items()}
