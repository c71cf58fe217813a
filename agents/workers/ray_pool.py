"""Calls made by Ray, as one of Python's own executors."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any


class RayPool(Executor):
    """Calls of functions of modules, each on a core somewhere in the cluster that Ray is connected to.

    A call whose process dies is made again, three times, elsewhere if need be. A mistake in a call is raised in
    its own words. What has not begun is given up when its future is cancelled.
    """

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._call = ray.remote(_call).options(num_cpus=1, max_retries=3)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Let Ray call it."""
        reference = self._call.remote(fn, args, kwargs)
        future: Future[Any] = Future()
        future.add_done_callback(partial(self._give_up, reference))
        reference.future().add_done_callback(partial(self._take, future))
        return future

    def _take(self, future: Future[Any], inner: Future[Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        error = inner.exception()
        if error is None:
            future.set_result(inner.result())
        else:
            future.set_exception(in_its_words(error))

    def _give_up(self, reference: Any, future: Future[Any]) -> None:
        if future.cancelled():
            self._ray.cancel(reference)


def _call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What runs in Ray's processes."""
    return fn(*args, **kwargs)


def in_its_words(error: BaseException) -> BaseException:
    """What was raised in a process of Ray's, without Ray's wrapping of it."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, BaseException) else error
