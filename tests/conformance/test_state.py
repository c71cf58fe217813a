"""The same questions for everything that has state: detectors, memories, controllers, learners and the rest.

Whatever a registry names is asked; what it fails stands in EXCEPTIONS with the reason, and a reason that has
become untrue fails too.
"""

import gc
import tracemalloc
from collections.abc import Callable

import pytest

from tests.conformance.subject import Subject, exact
from tests.conformance.subjects import SUBJECTS

# (subject, question) -> why it may fail. The list is to shrink.
EXCEPTIONS: dict[tuple[str, str], str] = {
    (
        "controller rival shuffled",
        "memory_stays_flat",
    ): "it draws from all rounds, and is no controller to deploy",
}


def same_seed_same_result(subject: Subject) -> None:
    once = subject.run(subject.make(3), 0, subject.rounds)
    again = subject.run(subject.make(3), 0, subject.rounds)
    assert once == again


def inputs_are_left_as_they_were(subject: Subject) -> None:
    one = subject.make(3)
    for k in range(subject.rounds):
        given = subject.given(k)
        before = exact(given)
        subject.step(one, given)
        assert exact(given) == before, f"the input of round {k} was changed"


def usable_before_the_first_round(subject: Subject) -> None:
    fresh = subject.restored(subject.saved(subject.make(3)), seed=3)
    assert subject.run(fresh, 0, 5) == subject.run(subject.make(3), 0, 5)


def continues_after_saving_and_loading(subject: Subject) -> None:
    half = subject.rounds // 2
    straight = subject.make(3)
    subject.run(straight, 0, half)
    saved = subject.saved(straight)
    resumed = subject.restored(saved, seed=3)
    # What the next rounds do not show may show later, so the states must be the same too.
    assert exact(subject.saved(resumed)) == exact(saved)
    assert subject.run(resumed, half, subject.rounds) == subject.run(straight, half, subject.rounds)


def loading_replaces_all_that_was(subject: Subject) -> None:
    half = subject.rounds // 2
    for past in (0, half):
        straight, used = subject.make(3), subject.make(3)
        subject.run(straight, 0, past)
        subject.run(used, half, subject.rounds)  # another history, which loading must wipe out
        subject.load(used, subject.codec.load(subject.saved(straight)))
        assert subject.run(used, past, past + half) == subject.run(straight, past, past + half)


def a_saved_state_is_a_copy(subject: Subject) -> None:
    one, half = subject.make(3), subject.rounds // 2
    subject.run(one, 0, half)
    state = subject.save(one)
    before = exact(subject.codec.dump(state))
    subject.run(one, half, subject.rounds)
    assert exact(subject.codec.dump(state)) == before, "the state moved along with the one it was saved from"


def a_loaded_state_is_a_copy(subject: Subject) -> None:
    one, half = subject.make(3), subject.rounds // 2
    subject.run(one, 0, half)
    state = subject.save(one)
    before = exact(subject.codec.dump(state))
    twin = subject.make(3)
    subject.load(twin, state)
    subject.run(twin, half, subject.rounds)
    assert exact(subject.codec.dump(state)) == before, "the state moved along with the one it was loaded into"


def memory_stays_flat(subject: Subject) -> None:
    one, held = subject.make(3), []
    tracemalloc.start()
    try:
        for first in (0, subject.long, 2 * subject.long):
            for k in range(first, first + subject.long):
                subject.step(one, subject.given(k))
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    growth = min(held[1] - held[0], held[2] - held[1])  # a leak shows twice, a cache that fills up once
    assert growth < subject.flat_bytes, f"another {subject.long} rounds kept {growth} bytes more"


QUESTIONS: tuple[Callable[[Subject], None], ...] = (
    same_seed_same_result,
    inputs_are_left_as_they_were,
    usable_before_the_first_round,
    continues_after_saving_and_loading,
    loading_replaces_all_that_was,
    a_saved_state_is_a_copy,
    a_loaded_state_is_a_copy,
    memory_stays_flat,
)


@pytest.mark.usefixtures("global_generators_untouched")
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.__name__)
@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_conforms(
    subject: Subject, question: Callable[[Subject], None], request: pytest.FixtureRequest
) -> None:
    reason = EXCEPTIONS.get((subject.name, question.__name__))
    if reason is not None:
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    question(subject)


def test_every_exception_names_a_subject_and_a_question_that_exist() -> None:
    known = {(subject.name, question.__name__) for subject in SUBJECTS for question in QUESTIONS}
    assert set(EXCEPTIONS) <= known
