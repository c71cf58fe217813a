"""Never trains."""

from .rule import Rule

NEVER = Rule(name="never", description="never updates", uses_base=False)
