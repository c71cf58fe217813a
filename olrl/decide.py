"""A frozen policy behind JSON lines: signals in, decisions out, for a shell or for another language.

A line in is an object of signals (`olrl.Signals` says what each is). A line out is either the decision for it,
`{"lr", "batch_size", "window", "update", "guard"}`, where `guard` is null or why the guard put something else in
force than the policy decided (with `"weight_decay"` and `"pull"` from a policy that controls them), or
`{"error": "line 3: ..."}` for a line that is no signals, which changes nothing.
"""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from hashlib import blake2b
from typing import IO, Any

from olrl.control.decision import Base, Decision
from olrl.control.guard import Guard
from olrl.control.policy import FrozenPolicy
from olrl.monitor.signals import Signals
from olrl.streams.lines import ByteStream, Line, read_blocks, split_lines
from olrl.task_kinds import TASKS

MAX_LINE_BYTES = 1 << 16
STATE_FORMAT = 2  # the first did not tell the task
_IN_FORCE = ("lr", "batch_size", "window")
_LONGEST_WHOLE = 20  # digits; a longer whole number is read as a float, and may be beyond all of them


class Decider:
    """A policy behind a guard, on one learner, asked with plain mappings.

    What was decided is taken to be in force until the next line, unless that line says otherwise. `task` is what
    the learner learns ("lm", "classify" or "answer"): the guard holds the policy to its training range on that;
    ValueError for another.

    >>> from olrl.control.policy import load_policy
    >>> decider = Decider(policy=load_policy("default"), base=Base(lr=1e-3))
    >>> sorted(decider.decide({"loss_nats": 2.0}))
    ['batch_size', 'guard', 'lr', 'update', 'window']
    """

    def __init__(self, *, policy: FrozenPolicy, base: Base, task: str = "lm") -> None:
        if task not in TASKS:
            raise ValueError(f"task must be one of {', '.join(TASKS)}, not {task!r}")
        self.task = task
        self.base = base
        self.policy_sha256 = policy.sha256()
        self.rounds = 0
        self._controller = policy.controller(base=base)
        self._guard = Guard(base=base, training_range=policy.training_range, task=task)
        self._in_force = base.decision()

    def decide(self, row: dict[str, Any]) -> dict[str, Any]:
        """The decision for a round whose signals are `row`; ValueError, with nothing changed, if they are none.

        `lr`, `batch_size` and `window` default to what was decided last. A loss that is there but null or not
        finite is trouble to the guard; where the key is absent, no loss is measured, and none is missed.
        """
        signals = Signals.from_dict({**self._last(), **_without_empty(row)})
        if "loss_nats" in row and row["loss_nats"] is None:
            signals = replace(signals, loss_nats=math.nan)
        proposed = self._controller.decide(signals)
        withheld = "loss_nats" not in row
        decision, reason = self._guard.check(proposed, signals, of=self._controller, loss_withheld=withheld)
        self._in_force = decision
        self.rounds += 1
        regularisation = decision.regularisation() if self._controller.policy.coding.regularises else {}
        return {**self._last(), **regularisation, "update": decision.update, "guard": reason}

    def _last(self) -> dict[str, Any]:
        return {name: getattr(self._in_force, name) for name in _IN_FORCE}

    def state_dict(self) -> dict[str, Any]:
        """All that later decisions depend on, JSON-able, with what they must go on with."""
        return {
            "format": STATE_FORMAT,
            "policy_sha256": self.policy_sha256,
            "task": self.task,
            "base": asdict(self.base),
            "rounds": self.rounds,
            "in_force": self._last(),
            "controller": self._controller.state_dict(),
            "guard": self._guard.state_dict(),
        }

    def load_state_dict(self, state: Any) -> None:
        """Continue from `state_dict()` of a decider with the same policy, base and task.

        Raises ValueError for anything else, also for a state that is damaged anywhere; the decider is of no
        use then.
        """
        if not isinstance(state, dict) or state.get("format") != STATE_FORMAT:
            raise ValueError(f"it is no state of format {STATE_FORMAT}")
        if state.get("policy_sha256") != self.policy_sha256:
            raise ValueError("it was made with another policy")
        if state.get("task") != self.task:
            raise ValueError(f"it was made for the task {_short(state.get('task'))}, not {self.task}")
        if state.get("base") != asdict(self.base):
            raise ValueError(
                f"it was made with the base {_short(state.get('base'))}, not {asdict(self.base)}"
            )
        try:
            self._take(state)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ValueError(f"it is damaged ({type(error).__name__}: {_short(error)})") from error
        if self.state_dict() != state:  # what was read as something else than it says, or not at all
            raise ValueError("it is damaged: it does not read as what was written")

    def _take(self, state: dict[str, Any]) -> None:
        Signals.from_dict(state["in_force"])  # in range
        self._in_force = Decision(**state["in_force"])
        self.rounds = int(state["rounds"])
        self._controller.load_state_dict(state["controller"])
        self._guard.load_state_dict(state["guard"])


def answer_lines(
    decider: Decider,
    lines_in: ByteStream,
    out: IO[str],
    *,
    before_answer: Callable[[], None] = lambda: None,
    go_on: bool = True,
) -> int:
    """Answer each line as soon as it is there, flushed; the number of errors told.

    `before_answer` is called after a decision and before it is written. Without `go_on` the first error is the
    last answer. Blank lines are skipped.
    """
    errors = 0
    for line in _lines(lines_in):
        if line.is_blank:
            continue
        try:
            answer = decider.decide(_row(line))
        except ValueError as error:
            answer = {"error": f"line {line.number}: {' '.join(str(error).split())}"}
            errors += 1
        else:
            before_answer()
        out.write(json.dumps(answer, allow_nan=False) + "\n")
        out.flush()
        if errors and not go_on:
            break
    return errors


def _short(anything: Any) -> str:
    text = str(anything)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _without_empty(row: dict[str, Any]) -> dict[str, Any]:
    """Without what is in force where it is null, so that the last decision stands in for it."""
    return {name: value for name, value in row.items() if value is not None or name not in _IN_FORCE}


def _lines(stream: ByteStream) -> Iterator[Line]:
    blocks = read_blocks(stream, stop=lambda: False)
    return split_lines(blocks, max_bytes=MAX_LINE_BYTES, hasher=blake2b, stop=lambda: False)


def _row(line: Line) -> dict[str, Any]:
    """The object in a line; NaN, infinities and numbers beyond all floats are null, as in many languages."""
    if line.digest is not None:
        raise ValueError(f"it has {line.n_bytes:,} bytes, more than {MAX_LINE_BYTES:,}")
    try:
        row = json.loads(
            line.content.decode("utf-8"),
            parse_constant=lambda _: None,
            parse_float=_finite,
            parse_int=lambda digits: int(digits) if len(digits) <= _LONGEST_WHOLE else _finite(digits),
            object_pairs_hook=_distinct,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON: {error.msg} at column {error.colno}") from None
    if not isinstance(row, dict):
        raise ValueError(f'it must be an object such as {{"loss_nats": 2.3}}, not {type(row).__name__}')
    return row


def _finite(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        raise ValueError("a name is given twice")
    return row
