"""The folder of a long run that never was."""

from contextlib import closing
from pathlib import Path

import numpy as np

from .figures import need


def long_run(path: Path, rounds: int) -> Path:
    """The folder of a run that never was, written once."""
    if path.exists():
        return path
    folder = need("olrl.run_folder", "RunFolder").create(path)
    asked = {"stream": "a.jsonl", "model": "pico", "controller": "base", "budget": 64.0}
    folder.write_config({"kind": "run", "run": asked})
    losses = np.random.default_rng(0).uniform(2.0, 4.0, rounds)
    held = {"lr": 1e-3, "batch_size": 2, "window": 1, "update": True, "updates": 10, "spent": 60.0}
    lines = need("olrl.run_folder", "JsonLines")
    with closing(lines(folder.decisions)) as decisions, closing(lines(folder.stream)) as stream:
        for k, loss in enumerate(losses.tolist()):
            drift = ["adwin"] if k % 50 == 49 else []
            decisions.write({"round": k, "loss_bpb": loss, **held, "guard": None, "drift": drift})
            stream.write({"round": k, "source": "a.jsonl", "segment": 0, "n_bytes": 1024})
    return path
