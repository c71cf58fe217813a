from dataclasses import replace

from olrl.agents.evaluation.example import segments_of
from tests.agents.evaluation.test_recovery import trace_of


def test_a_segment_without_a_main_source_is_mixed() -> None:
    trace = trace_of([2.0] * 10, [0] * 5 + [3] * 5)
    sources = ("a", "a", "a", "b", "c", "a", "a", "b", "b", "c")
    trace = replace(trace, source=sources)
    assert segments_of(trace) == ((0, "a"), (5, "mixed"))
