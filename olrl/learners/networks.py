"""Which network computes a model's losses and gradients."""

import torch

from olrl.learners.compiled_log_bilinear_network import CompiledLogBilinearNetwork
from olrl.learners.library_network import LibraryNetwork, VmappedNetwork
from olrl.learners.llama_network import LlamaNetwork
from olrl.learners.log_bilinear_network import LogBilinearNetwork
from olrl.learners.network import Network


def network_of(model: torch.nn.Module, *, learners: int = 1) -> Network:
    """The fastest network for `learners` copies of a causal language model: written out where it can be."""
    for written_out in (LlamaNetwork, CompiledLogBilinearNetwork, LogBilinearNetwork):
        if written_out.computes(model):
            return written_out(model.config)
    return LibraryNetwork(model) if learners == 1 else VmappedNetwork(model)
