"""The configuration that a user has before anything is tuned."""

from .rule import Rule

BASE = Rule(name="base", description="the base configuration, constant")
