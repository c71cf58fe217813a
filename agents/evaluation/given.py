"""The user's own stream, with what is to be learned of it: the options `olrl compare` and `olrl search` share."""

from collections.abc import Collection

from olrl.models.classify import FROZEN_BASE, SEQ_LEN
from olrl.streams.text_features import BUCKETS
from olrl.task_kinds import TASKS
from olrl.tasks import Task, find_classes

from .jobs import StreamRef


def check_task(task: str, *, classes: Collection[str], text_features: int, classifies: bool) -> None:
    """ValueError in one sentence for a task that there is not, and for what has no effect on it.

    `classifies` says whether a stream is classified that text features could serve.
    """
    if task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}, not {task!r}")
    if classes and task != "classify":
        raise ValueError("classes have no effect without --task classify: leave them out")
    if not 0 <= text_features <= BUCKETS:
        raise ValueError(f"text_features must be from 0 to {BUCKETS}, not {text_features!r}")
    if text_features and not classifies:
        raise ValueError("text_features have no effect where nothing is classified: leave them out")


def given_task(
    stream: str, task: str, *, classes: tuple[str, ...] = (), text_features: int = 0, frozen: bool = True
) -> Task:
    """What is learned of a SOURCE; without `classes`, a classifier's are those that are found in it.

    ValueError, in one sentence, where they cannot be found.
    """
    if task != "classify":
        return Task(kind="answer" if task == "answer" else "lm")
    found = classes or find_classes(stream, follow=False)
    return Task(kind="classify", classes=found, frozen=frozen, text_features=text_features)


def given_stream(stream: str, task: Task, *, seq_len: int | None) -> StreamRef:
    """A SOURCE as a stream to run on, from the base and with the tokens a row that `olrl run` would take."""
    if task.kind != "classify":
        return StreamRef(name=stream, kind="given", source=stream, task=task)
    return StreamRef(
        name=stream,
        kind="given",
        source=stream,
        task=task,
        base=FROZEN_BASE if task.frozen else None,  # all weights start from the model's own
        seq_len=seq_len or SEQ_LEN,
    )


def reads_corpus(stream: str, task: str) -> bool:
    """Whether what is learned of a SOURCE depends on builtin text; a classifier's features are scaled on it."""
    return stream.startswith(("builtin:", "scenario:")) or task == "classify"
