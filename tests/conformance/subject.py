"""What the conformance suite asks about: anything that has state and takes one input a round."""

import base64
import copy
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Codec:
    """How a state leaves the process and comes back."""

    name: str
    dump: Callable[[Any], Any]
    load: Callable[[Any], Any]


def _dump_arrays(state: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{f"/{name}": array for name, array in state.items()})
    return buffer.getvalue()


def _load_arrays(data: bytes) -> dict[str, Any]:
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return {name.removeprefix("/"): archive[name] for name in archive.files}


# States documented as JSON-able, as named arrays, or as neither (then a copy within the process is all).
JSON = Codec(name="json", dump=lambda state: json.dumps(state, allow_nan=False), load=json.loads)
ARRAYS = Codec(name="arrays", dump=_dump_arrays, load=_load_arrays)
COPY = Codec(name="copy", dump=copy.deepcopy, load=copy.deepcopy)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One registered thing and how it is asked.

    `make(seed)` gives a fresh one, `given(k)` the input of round k (the same at every call), `step` feeds it
    and returns all that can be seen of the round. `long` rounds are enough for every bounded buffer to fill;
    growth by less than `flat_bytes` over as many again counts as none (a float kept from each round is more).
    """

    name: str
    make: Callable[[int], Any]
    given: Callable[[int], Any]
    step: Callable[[Any, Any], Any]
    codec: Codec
    save: Callable[[Any], Any] = lambda subject: subject.state_dict()
    load: Callable[[Any, Any], Any] = lambda subject, state: subject.load_state_dict(state)
    rounds: int = 40
    long: int = 300
    flat_bytes: int = 7_000

    def run(self, subject: Any, first: int, last: int) -> list[str]:
        """What rounds `first` … `last - 1` show, each as a text that equals only if every bit does."""
        return [exact(self.step(subject, self.given(k))) for k in range(first, last)]

    def saved(self, subject: Any) -> Any:
        return self.codec.dump(self.save(subject))

    def restored(self, data: Any, *, seed: int) -> Any:
        subject = self.make(seed)
        self.load(subject, self.codec.load(data))
        return subject


def exact(value: Any) -> str:
    """A text of a result that is the same only for the same bits, arrays and floats included."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}{base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()}"
    if isinstance(value, np.generic):
        return exact(np.asarray(value))
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key!r}: {exact(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(exact(item) for item in value)}]"
    return repr(value)
