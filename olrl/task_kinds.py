"""What a model may be asked to learn of a stream, by name; `olrl.tasks` says what each is."""

from typing import Literal, get_args

TaskKind = Literal["lm", "classify", "answer"]
TASKS: tuple[TaskKind, ...] = get_args(TaskKind)
