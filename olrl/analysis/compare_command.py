"""The command line of a comparison, from what its folder says was asked for."""

import shlex
from collections.abc import Mapping
from typing import Any

# Settings of a comparison by the option that sets them; a suite has other ones than a stream.
_OPTIONS = {
    "base_from": "--base-from",
    "base_lr": "--base-lr", "base_batch": "--base-batch", "base_window": "--base-window",
    "base_lr_mult": "--base-lr-mult", "rounds": "--rounds", "seeds": "--seeds", "price": "--price",
    "device": "--device", "text_features": "--text-features",
}  # fmt: skip
_OF_A_SUITE = {"suite": "--suite", "split": "--split", "streams": "--streams"}
_OF_A_STREAM = {"stream": "--stream", "task": "--task", "classes": "--classes"}
# What no option sets, and what it is where nobody asked for anything else.
PYTHON_ONLY: dict[str, Any] = {"chunk": 16, "seq_len": None, "seed": 0, "settings": []}


def compare_command(config: Mapping[str, Any]) -> str:
    """The command line that makes a comparison again, apart from its folder and from who computes.

    What only Python can ask for (`PYTHON_ONLY`) is not in it.

    >>> compare_command({"suite": "drift", "rounds": 9, "controllers": ["base", "policy"], "policies": ["default"]})
    'olrl compare --suite drift --controllers base,policy --policy default --rounds 9'
    """
    own = config.get("stream") is not None
    words = ["olrl", "compare", *_asked(config, _OF_A_STREAM if own else _OF_A_SUITE)]
    words += _asked(config, {"model": "--model", "controllers": "--controllers"})
    for policy in config.get("policies", ()):
        words += ["--policy", str(policy)]
    words += _asked(config, _OPTIONS) + _asked(config.get("cost", {}), {"budget": "--budget"})
    return shlex.join(words)


def left_out(config: Mapping[str, Any]) -> str:
    """A sentence on what was asked for in Python and stands in no command line; nothing where nothing was."""
    changed = [
        f"{name} {config[name]}" for name, usual in PYTHON_ONLY.items() if config.get(name, usual) != usual
    ]
    return f"Set from Python, with no option for it: {', '.join(changed)}." if changed else ""


def _asked(config: Mapping[str, Any], options: Mapping[str, str]) -> list[str]:
    words = []
    for name, option in options.items():
        value = config.get(name)
        if value not in (None, []):
            words += [option, ",".join(map(str, value)) if isinstance(value, list) else str(value)]
    return words
