from dataclasses import replace

from olrl.agents.evaluation.example import Example, segments_of
from tests.agents.evaluation.test_recovery import trace_of


def test_a_segment_without_a_main_source_is_mixed() -> None:
    trace = trace_of([2.0] * 10, [0] * 5 + [3] * 5)
    sources = ("a", "a", "a", "b", "c", "a", "a", "b", "b", "c")
    trace = replace(trace, source=sources)
    assert segments_of(trace) == ((0, "a"), (5, "mixed"))


def test_results_of_before_rounds_without_training_were_kept_are_still_read() -> None:
    knobs = dict.fromkeys(("loss_bpb", "lr", "batch_size", "window"), (1.0, 2.0))
    rounds = {"fixed": knobs, "policy": {**knobs, "update": (1.0, 0.0)}}
    one = Example(stream="s", kind="none", base_lr_mult=1.0, segments=((0, "a"),), rounds=rounds)
    assert Example.from_dict(one.to_dict()) == one
