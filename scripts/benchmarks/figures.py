"""What a measurement says, and what it says when the version measured lacks a thing."""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How much is measured.

    `quick` takes seconds and says whether the program runs, not how fast; `documents` is the length of the
    stream in the section `documents`; `scratch` a folder that is removed afterwards; `seed` keys the moves.
    """

    quick: bool
    documents: int
    scratch: Path
    seed: int = 0

    def of(self, full: int, quick: int) -> int:
        """A count that depends on how much is measured."""
        return quick if self.quick else full


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number with its name and unit."""

    name: str
    value: float
    unit: str


class Absent(Exception):
    """The version measured lacks what a part is about; the message names it."""


# Of these more is better, and the best repeat is the largest; of all others the least.
RATES = ("GFLOPS", "of the rate", "steps/s", "rounds/s", "documents/s")

Part = Callable[[Setting], Iterator[Figure]]


@dataclass(frozen=True, kw_only=True)
class Section:
    """A named group of parts; where one part fails, the others are still measured."""

    name: str
    about: str
    parts: dict[str, Part]


def need(module: str, name: str) -> Any:
    """A thing of olrl by the names of its module and its own; Absent if this version has none."""
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise Absent(f"no module {module}") from None
    except AttributeError:
        raise Absent(f"no {name} in {module}") from None
