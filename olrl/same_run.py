"""Whether a run that is to be gone on with is the one that was begun."""

import json
from pathlib import Path
from typing import Any

FREE = ("out", "checkpoint_every")  # settings that decide nothing of the result
_REST = {
    "base": "the base configuration",
    "loop": "how the loop is assembled",
    "model": "the model",
    "classes": "the labels of the stream",
    "policy": "the policy",
    "corpus_sha256": "the builtin text (it is read from installed packages)",
}
_HOW_MANY = ("threads", "processes")


def check_same(begun: dict[str, Any], now: dict[str, Any], *, out: Path) -> None:
    """Raise ValueError, in one sentence, where a run that was `begun` would be gone on with as another one.

    Both are what `config.json` says. Versions of packages and the number of threads and processes may differ.

    >>> begun = {"kind": "run", "run": {"seed": 3, "out": "a"}}
    >>> check_same(begun, {"kind": "run", "run": {"seed": 3, "out": "b"}}, out=Path("a"))
    >>> check_same(begun, {"kind": "run", "run": {"seed": 4, "out": "a"}}, out=Path("a"))
    Traceback (most recent call last):
    ...
    ValueError: --resume with --seed 4, but the run in a was begun with 3: leave it as it was, or begin a new run
    """
    if begun.get("kind") != now["kind"]:
        raise ValueError(f"{out} is not the folder of an olrl run")
    now = json.loads(json.dumps(now))
    for name, value in now["run"].items():
        given = begun["run"].get(name)
        if name not in FREE and given != value:
            raise ValueError(
                f"--resume with --{name.replace('_', '-')} {_told(value)}, but the run in {out} was begun with "
                f"{_told(given)}: leave it as it was, or begin a new run"
            )
    for name, told in _REST.items():
        if begun.get(name) != now.get(name):
            raise ValueError(f"{told} is not what it was when the run in {out} began: begin a new run")


def _told(value: Any) -> str:
    return "left out" if value is None or value is False else "given" if value is True else str(value)


def differences(begun: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What may round differently now than when a run began, a phrase each.

    >>> differences({"threads": 1, "versions": {"torch": "2.10"}}, {"threads": 1, "versions": {"torch": "2.13"}})
    ['torch is 2.13 and was 2.10']
    """
    versions = begun.get("versions")
    before = {name: begun.get(name) for name in _HOW_MANY} | (versions if isinstance(versions, dict) else {})
    after = {name: now.get(name) for name in _HOW_MANY} | now["versions"]
    return [
        f"{name} is {value} and was {before.get(name)}"
        for name, value in after.items()
        if before.get(name) != value
    ]
