"""One section measured in this process, told as JSON."""

import cProfile
import json
import pstats
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .figures import Absent, Figure, Part, Setting
from .registry import section

WHOLE = "whole section"


def measure(
    name: str, setting: Setting, out: Path, *, only: Sequence[str] = (), profile: bool = False
) -> None:
    """Measure every part of a section and write what came of it; a part that fails leaves the others alone.

    `only` names the parts to measure; by default all of them.
    With `profile`, prints the costliest functions of the whole section to standard error.
    """
    with _profile() if profile else _nothing():
        parts = _parts(name, setting, only)
    out.write_text(json.dumps(parts, allow_nan=False), encoding="utf-8")


def _parts(name: str, setting: Setting, only: Sequence[str]) -> dict[str, Any]:
    try:
        parts = section(name).parts
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("olrl."):
            raise
        return {WHOLE: {"figures": {}, "absent": f"no module {error.name}"}}
    return {part: _measured(call, setting) for part, call in parts.items() if not only or part in only}


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _profile() -> Iterator[None]:
    profile = cProfile.Profile()
    with profile:
        yield
    pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(25)


def _measured(call: Part, setting: Setting) -> dict[str, Any]:
    figures: list[Figure] = []
    told: dict[str, Any] = {}
    try:
        figures.extend(call(setting))
    except Absent as absent:
        told["absent"] = str(absent)
    except Exception as error:  # whatever an older version trips over
        told["failed"] = f"{type(error).__name__}: {error}"
        traceback.print_exc()
    return {"figures": {f.name: {"value": f.value, "unit": f.unit} for f in figures}, **told}
