"""The sections by name; a section's module is imported when it is asked for."""

import importlib

from .figures import Section

MODULES = {
    "arithmetic": "arithmetic",
    "round": "rounds",
    "decision": "decision",
    "adapters": "adapters",
    "tracking": "tracking",
    "reader": "reader",
    "environments": "environments",
    "elsewhere": "elsewhere",
    "ppo": "ppo",
    "memory": "peak_memory",
    "documents": "documents",
    "live-page": "live_page",
}


def section(name: str) -> Section:
    """A section by its name."""
    found: Section = importlib.import_module(f"benchmarks.{MODULES[name]}").SECTION
    return found
