"""What is fuzzed, and what every case must keep to."""

import resource
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import numpy as np

CASE_S = 20.0  # of processor time, far more than a case takes: a policy is refused in hundredths of a second
MEMORY_BYTES = 512 << 20  # of address space beside what a worker starts with
LONGEST = 3000  # characters of a sentence


@dataclass(frozen=True, kw_only=True)
class Target:
    """Something that reads what others wrote.

    `case` does one malformed input, drawn from the generator, in an empty folder; it returns what came of it in a
    word or two (for the table), and raises Broken for what must not happen. `prepare` imports and makes what all
    cases share, before the limits are in force.
    """

    name: str
    case: Callable[[np.random.Generator, Path], str]
    memory_bytes: int = MEMORY_BYTES
    prepare: Callable[[], object] = lambda: None


class Broken(AssertionError):
    """Something that must not happen did."""


class TookTooLong(BaseException):
    """A case went on beyond its time; no handler of the code under test takes it for an error of its own."""


@dataclass(kw_only=True)
class Tally:
    """What came of the cases of a target."""

    target: str
    cases: int = 0
    slowest_s: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def sentence(error: Exception) -> str:
    """The message of a refusal, after the checks that every refusal has to stand."""
    text = str(error)
    if not text.strip() or len(text) > LONGEST:
        raise Broken(f"a refusal of {len(text)} characters: {text[:200]!r}")
    return text


def play(target: Target, *, first: int, count: int, scratch: Path) -> Tally:
    """Cases number `first` and the following, each with a generator of its own; failures are told, not raised."""
    tally = Tally(target=target.name)
    target.prepare()
    limit_memory(target.memory_bytes)
    for seed in range(first, first + count):
        folder = scratch / f"{target.name}-{seed}"
        folder.mkdir()
        started = time.monotonic()
        try:
            with time_limit(CASE_S):
                outcome = target.case(np.random.default_rng([seed, *target.name.encode()]), folder)
        except (Exception, TookTooLong) as error:
            outcome = "FAILED"
            told = "".join(traceback.format_exception(error)[-6:])
            tally.failures.append(f"{target.name} seed {seed}: {type(error).__name__}: {error}\n{told}")
        tally.cases += 1
        tally.outcomes[outcome] += 1
        tally.slowest_s = max(tally.slowest_s, time.monotonic() - started)
    return tally


def limit_memory(more_bytes: int) -> None:
    """Let this process take so much address space beside what it has; beyond, it meets MemoryError."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + more_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TookTooLong inside what computes for longer, or waits for six times as long (a pipe, say)."""

    def over(number: int, frame: FrameType | None) -> None:
        raise TookTooLong(f"still at it after {seconds:g} s")

    timers = (
        (signal.ITIMER_VIRTUAL, signal.SIGVTALRM, seconds),
        (signal.ITIMER_REAL, signal.SIGALRM, 6 * seconds),
    )
    for timer, number, after in timers:
        signal.signal(number, over)
        signal.setitimer(timer, after)
    try:
        yield
    finally:
        for timer, _, _ in timers:
            signal.setitimer(timer, 0)
