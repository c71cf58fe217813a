import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olrl.state_tree import join, split
from tests.conformance.subject import exact

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(TREES)
def test_every_tree_comes_back_to_the_bit_through_strict_json(tree: object) -> None:
    plain, arrays = split(tree)
    back = join(json.loads(json.dumps(plain, allow_nan=False)), arrays)
    assert exact(back) == exact(tree)
    assert repr(back) == repr(tree)  # a list is no tuple


def test_arrays_of_any_shape_come_back_and_places_that_look_alike_are_kept_apart() -> None:
    state = {
        "a/b": np.arange(3, dtype=np.int32),
        "a": {"b": np.zeros((2, 0)), "c": np.array(math.pi)},
        "t": np.arange(6.0).reshape(2, 3).T,
    }
    plain, arrays = split(state)
    assert exact(join(plain, arrays)) == exact(state)
    assert len(arrays) == 4


def test_numpy_scalars_become_numbers() -> None:
    plain, _ = split({"count": np.int64(3), "flag": np.bool_(True), "rate": np.float32(0.1)})
    assert plain == {"count": 3, "flag": True, "rate": float(np.float32(0.1))}


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"guard": {"last": object()}}, "object at /guard/last"),
        ({"x": {3: "three"}}, "the key 3 at /x"),
        ({"$array": "x"}, "the key '\\$array'"),
        ({"x": np.array([object()])}, "array at /x of a state holds objects"),
    ],
)
def test_what_cannot_be_saved_is_refused_with_its_place(state: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        split(state)
