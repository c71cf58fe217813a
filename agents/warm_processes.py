"""Worker processes that start with everything imported."""

import multiprocessing
from multiprocessing.context import ForkServerContext

# By name, so that only the server that workers are forked from imports them. transformers imports a model's code
# as it is loaded, which takes seconds; the models that ship are Llamas.
PRELOADED = (
    "torch",
    "transformers.models.llama.modeling_llama",
    "transformers.models.auto.tokenization_auto",
    "olrl.agents.evaluation.play",
    "olrl.envs.online_lm",
)


def warm_context() -> ForkServerContext:
    """The context whose workers are forked from a server that has imported what they need.

    There is one such server in a process, so whoever starts workers by `forkserver` should have called this.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context
