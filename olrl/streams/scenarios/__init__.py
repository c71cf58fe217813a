"""Streams of the five uses: dialogue, text generation, question answering, sentiment, medical text."""

from olrl.streams.scenarios.registry import SCENARIOS, open_scenario
from olrl.streams.scenarios.scenario import Scenario

__all__ = ["SCENARIOS", "Scenario", "open_scenario"]
