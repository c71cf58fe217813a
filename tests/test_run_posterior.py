"""Runs whose optimizer keeps a posterior over the weights, on labels, on answers and with adapters."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from olrl.loop import RoundRecord, loss_of
from olrl.run import run
from olrl.run_config import RunConfig

KINDS: dict[str, dict[str, Any]] = {
    "a head": {"task": "classify", "model": "femto"},
    "a whole classifier": {"task": "classify", "model": "pico", "encoder": "learning"},
    "answers": {"task": "answer", "model": "pico"},
    "adapters": {"lora": "r=2", "model": "pico", "base_lr": 1e-2},
}


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stream") / "mail.jsonl"
    rows = [{"text": f"{('win a prize', 'see you')[k % 2]}, number {k}", "label": k % 2} for k in range(40)]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_with_vadam_learns_and_tells_its_uncertainty(kind: str, stream: Path, tmp_path: Path) -> None:
    if kind == "adapters":
        pytest.importorskip("peft")
    asked = RunConfig(
        stream=str(stream), optimizer="vadam", controller="base", chunk=4, seq_len=32, budget=24.0, rounds=3,
        out=tmp_path / "out", **KINDS[kind],
    )  # fmt: skip
    records: list[RoundRecord] = []
    result = run(asked, on_round=records.append)
    assert result.model_saved  # its weights are finite
    updates = {record.report.updates for record in records}
    assert len(records) == 3
    assert len(updates) == 1
    assert min(updates) > 0
    losses = [loss_of(record) for record in records]
    assert all(loss is not None and math.isfinite(loss) for loss in losses)
    assert losses[1] != losses[0]
    first, *told = (record.signals.uncertainty for record in records)
    assert first is None  # nothing was learned before it
    assert all(deviation is not None and 0 < deviation < 1 for deviation in told)
    assert told[0] != told[1]
