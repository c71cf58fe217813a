"""Nothing with state escapes the suite: what is defined in the package is asked, or it is said why not."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import olrl
from olrl.control.coding import ActionCoding
from olrl.control.controller import Controller
from olrl.learners.learner import Learner
from tests.conformance.subjects import SUBJECTS, Steered

# Class -> why it has no subject. The list is to shrink.
UNASKED: dict[str, str] = {
    "RateOnly": "passes on the rate of another controller, which is asked itself",
    "Leader": "leads several processes; tests/test_several.py asks it there",
    "ShardedLMLearner": "holds a part of a model among processes; tests/learners/test_sharded_lm.py asks it there",
    "Recorded": "looks on while the learner that it wraps scores, and changes nothing",
    "PrivateLMLearner": "its noise comes from the system's entropy, so no two are the same",
}


def _import_the_core() -> None:
    root = Path(olrl.__file__).parent
    for path in sorted(root.rglob("*.py")):
        if path.relative_to(root).parts[0] not in ("envs", "agents"):
            name = ".".join(("olrl", *path.relative_to(root).with_suffix("").parts))
            importlib.import_module(name.removesuffix(".__init__"))


def _concrete(interface: type[Any]) -> Iterator[type[Any]]:
    for kind in interface.__subclasses__():
        yield from _concrete(kind)
        if not getattr(kind, "__abstractmethods__", None) and kind.__module__.startswith("olrl."):
            yield kind


@pytest.mark.parametrize("interface", [ActionCoding, Controller, Learner])
def test_every_implementation_of_an_interface_is_a_subject(interface: type[Any]) -> None:
    _import_the_core()
    made = [subject.make(0) for subject in SUBJECTS]
    asked = {type(one.coding if isinstance(one, Steered) else one) for one in made}
    left_out = {kind.__name__ for kind in set(_concrete(interface)) - asked} - set(UNASKED)
    assert left_out == set(), "give it a subject in subjects.py"


def test_names_of_subjects_are_unique() -> None:
    names = [subject.name for subject in SUBJECTS]
    assert len(names) == len(set(names))
