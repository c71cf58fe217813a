"""Run folders made by hand, for tests of what reads them."""

from contextlib import closing
from pathlib import Path
from typing import Any

from olrl.run_folder import JsonLines, RunFolder

CONFIG: dict[str, Any] = {
    "kind": "run",
    "run": {"stream": "mail.jsonl", "model": "nano", "controller": "policy", "budget": 64.0, "rounds": 4},
    "base": {"lr": 1e-3, "batch_size": 8, "window": 8},
}
PRIVATE: dict[str, Any] = {
    **CONFIG,
    "privacy": {
        "epsilon": 2.5, "delta": 1e-5, "noise": 1.0, "clip": 1.0, "sample_rate": 0.0625, "steps": 80,
        "accountant": "Opacus, RDP", "unit": "one training example",
    },
}  # fmt: skip


def row(number: int, loss_bpb: float | None, **changed: Any) -> dict[str, Any]:
    """A line of decisions.jsonl."""
    plain = {"lr": 1e-3, "batch_size": 8, "window": 8, "update": True, "updates": 5, "spent": 60.0}
    return {"round": number, "loss_bpb": loss_bpb, **plain, "guard": None, "drift": [], **changed}


def make_run(
    path: Path,
    rows: list[dict[str, Any]],
    arrived: list[dict[str, Any]] | None = None,
    *,
    config: dict[str, Any] = CONFIG,
) -> RunFolder:
    """A run's folder with these rounds; unless told otherwise, 100 bytes of mail arrive in each."""
    folder = RunFolder.create(path)
    folder.write_config(config)
    chunk = {"source": "mail.jsonl", "segment": 0, "n_bytes": 100}
    for name, lines in (
        (folder.decisions, rows),
        (folder.stream, arrived or [{"round": k, **chunk} for k in range(len(rows))]),
    ):
        with closing(JsonLines(name)) as writer:
            for line in lines:
                writer.write(line)
    return folder
