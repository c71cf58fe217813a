"""One process that leads, and others that do as it does."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any

import numpy as np
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from olrl.control.decision import Decision
from olrl.learners.learner import Examples, Learner, UpdateReport
from olrl.learners.sharded_lm import ShardedLMLearner

_WAIT = timedelta(days=3650)  # a stream may have nothing to say for long: its end is the leader's affair


class Line:
    """From rank 0 to all other processes; every process makes one, at the same moment.

    Whoever hears waits without computing. `broken` once something was begun together and not ended together: then
    nothing more can be said.
    """

    def __init__(self) -> None:
        self._group = dist.new_group(backend="gloo", timeout=_WAIT)
        self.broken = False

    def say(self, what: tuple[Any, ...] | None) -> None:
        """Rank 0: tell the others what to do; None is that all is over."""
        dist.broadcast_object_list([what], src=0, group=self._group)

    def hear(self) -> tuple[Any, ...] | None:
        """The others: wait for it."""
        heard: list[Any] = [None]
        dist.broadcast_object_list(heard, src=0, group=self._group)
        said: tuple[Any, ...] | None = heard[0]
        return said


class Leader(Learner):
    """A learner over several processes, for rank 0, which alone knows stream, memory, controller and folder.

    Whatever it is asked, it has the others do too (`follow`). `held` is entered meanwhile: what may raise at any
    moment, as an interrupt does, must wait, or the others would wait forever. Raises ConnectionError where another
    process is gone.
    """

    def __init__(
        self,
        learner: ShardedLMLearner,
        line: Line,
        *,
        held: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self._learner, self._line, self._held = learner, line, held

    def score(self, examples: Examples) -> NDArray[np.float64]:
        """As `ShardedLMLearner`."""
        with self._together("score", examples):
            return self._learner.score(examples)

    def update(self, batches: Iterator[Examples], decision: Decision) -> UpdateReport:
        """As `ShardedLMLearner`."""
        drawn = list(batches)
        with self._together("update", drawn, decision):
            return self._learner.update(iter(drawn), decision)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """As `ShardedLMLearner`: all of it, in this process's memory."""
        with self._together("state_dict"):
            return self._learner.state_dict()

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """As `ShardedLMLearner`; the others are told the names, and sent their parts."""
        self._learner.check(state)
        names = {name: value if value.ndim == 0 else np.zeros(1) for name, value in state.items()}
        with self._together("load_state_dict", names):
            self._learner.load_state_dict(state)

    def whole_weights(self) -> dict[str, Tensor]:
        """As `ShardedLMLearner`."""
        with self._together("whole_weights"):
            return self._learner.whole_weights()

    @contextmanager
    def _together(self, what: str, *arguments: Any) -> Iterator[None]:
        with self._held():
            try:
                self._line.say((what, *arguments))
                yield
            except RuntimeError as error:
                self._line.broken = True
                if _is_gone(error):
                    raise ConnectionError(
                        "another process of this run is gone, and with it its part of the model: "
                        "go on from the newest checkpoint with --resume"
                    ) from error
                raise
            except BaseException:
                self._line.broken = True
                raise


def follow(learner: ShardedLMLearner, line: Line) -> None:
    """Do as the leader does, until it says that all is over, or is gone."""
    try:
        while (heard := line.hear()) is not None:
            what, *arguments = heard
            if what == "update":
                drawn, decision = arguments
                learner.update(iter(drawn), decision)
            else:
                getattr(learner, what)(*arguments)
    except RuntimeError as error:
        if not _is_gone(error):
            raise


def _is_gone(error: RuntimeError) -> bool:
    """Whether another process died: gloo has no error of its own for it ("Connection closed by peer")."""
    return "onnection" in str(error)
