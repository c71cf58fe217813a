"""Control of training loops that are not ours: plain PyTorch, transformers' Trainer, TRL, Lightning."""
