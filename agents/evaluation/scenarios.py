"""The five uses as streams to compare entrants on, each with its task and its tuned constant."""

import json
from pathlib import Path
from typing import Any

from olrl.control.decision import Base
from olrl.models.classify import FROZEN_BASE
from olrl.streams.labels import LabelChanges
from olrl.streams.scenarios import SCENARIOS, Scenario
from olrl.tasks import Task

from .jobs import StreamRef

TUNED = Path(__file__).parent.parent / "tuned" / "scenarios.json"
# Between a document and its label come one to six chunks, and one label in ten is another class.
LATE = LabelChanges(late=(16, 96), wrong=0.1)
LATE_KIND = "late and wrong labels"
WITH_LATE = ("sentiment",)


def scenario_streams(names: tuple[str, ...], *, streams: int, tuning: bool = False) -> list[StreamRef]:
    """The first versions of each scenario, or the one to tune on; of some with late and wrong labels too."""
    versions: list[int | str] = ["tuning"] if tuning else list(range(streams))
    refs = []
    for name in names:
        refs += [_ref(SCENARIOS[name], version) for version in versions]
        if name in WITH_LATE and not tuning:
            refs += [_ref(SCENARIOS[name], version, labels=LATE) for version in versions]
    return refs


def _ref(scenario: Scenario, version: int | str, *, labels: LabelChanges | None = None) -> StreamRef:
    classifies = scenario.task == "classify"
    return StreamRef(
        name=f"{scenario.name}-{version}" + ("" if labels is None else "-late"),
        kind=scenario.name if labels is None else LATE_KIND,
        source=f"scenario:{scenario.name}/{version}",
        task=Task(kind=scenario.task, classes=scenario.classes),
        labels=labels,
        base=FROZEN_BASE if classifies else None,
        fixed=tuned_constant(scenario.name),
        seq_len=scenario.seq_len,
    )


def tuned_constant(name: str) -> Base | None:
    """The constant tuned on the scenario's own tuning stream; None where none is recorded."""
    record = tuning_record(name)
    return None if record is None else Base(**record["settings"])


def tuning_record(name: str) -> dict[str, Any] | None:
    """What was tried on the tuning stream, and what it came to."""
    records: dict[str, Any] = json.loads(TUNED.read_text(encoding="utf-8")) if TUNED.is_file() else {}
    found: dict[str, Any] | None = records.get(name)
    return found
