"""Worker processes that start with everything imported."""

import multiprocessing
import os
import threading
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext

# By name, so that only the server that workers are forked from imports them. transformers imports a model's code
# as it is loaded, which takes seconds; the models that ship are Llamas.
PRELOADED = (
    "torch",
    "transformers.models.llama.modeling_llama",
    "transformers.models.auto.tokenization_auto",
    "olrl.agents.evaluation.play",
    "olrl.envs.online_lm_vec",
)


def warm_context() -> ForkServerContext:
    """The context whose workers are forked from a server that has imported what they need.

    There is one such server in a process, so whoever starts workers by `forkserver` should have called this.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def usable_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def end_with_parent() -> None:
    """Let this worker process end when the process that started it does, however that ended.

    A pool's worker waits for its next job on a queue that its siblings hold open too, so that after a kill of the
    parent all of them would wait, and compute what is still queued, for ever.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
