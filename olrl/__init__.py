"""Learned control of the learning rate, batch size and sampling window of an online language model."""

__version__ = "0.1.0"
