"""Learned control of the learning rate, batch size and sampling window of an online language model."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from olrl.adapters.monitor import Monitor
    from olrl.control.decision import Base, Decision
    from olrl.control.policy import load_policy
    from olrl.monitor.signals import Signals

__version__ = "0.1.0"
__all__ = ["Base", "Decision", "Monitor", "Signals", "load_policy"]

# Imported when first used, so that `import olrl` costs nothing.
_HOME = {
    "Base": "olrl.control.decision",
    "Decision": "olrl.control.decision",
    "Monitor": "olrl.adapters.monitor",
    "Signals": "olrl.monitor.signals",
    "load_policy": "olrl.control.policy",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'olrl' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
