"""Entrants on streams whose labels are learned."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from olrl.agents.evaluation.compare import CompareConfig, base_of, compare, plan_jobs
from olrl.agents.evaluation.jobs import Job, StreamRef, run_job
from olrl.agents.evaluation.play import Trace
from olrl.agents.evaluation.scenario_page import PAGES, write_scenario_page
from olrl.models.classify import FROZEN_BASE
from olrl.models.load import load_model
from olrl.streams.drift import DriftConfig
from olrl.streams.labels import LabelChanges
from olrl.streams.scenarios import SCENARIOS
from olrl.tasks import Task

ROOT = Path(__file__).parents[3]
CLASSES = ("dialogue", "stdlib")
DRIFT = DriftConfig(kind="abrupt", n_bytes=20_000, segment_bytes=(300, 600), domains=CLASSES, concurrent=4)
STREAM = StreamRef(
    name="builtin text by domain",
    kind="abrupt",
    drift=DRIFT,
    task=Task(kind="classify", classes=CLASSES),
    labels=LabelChanges(late=(2, 12), wrong=0.1),
)


def job(entrant: str, stream: StreamRef = STREAM, **changed: Any) -> Job:
    plain = Job(
        entrant=entrant,
        stream=stream,
        model="pico",
        base=FROZEN_BASE,
        fixed=None,
        base_lr_mult=1.0,
        policy="default",
        seed=0,
        rounds=8,
        chunk=8,
    )
    return replace(plain, **changed)


def test_a_classifier_is_compared_in_bits_a_label_with_accuracy_and_f1() -> None:
    trace = run_job(job("base"))
    assert trace.loss_unit == "label"
    assert trace.n_bytes == (8,) * 8
    assert trace.loss_bpb[0] == pytest.approx(1.0, rel=1e-5)  # two classes, equally probable
    assert sum(count for _, _, count in trace.confusion) == 8 * 7
    hits = sum(count for label, guess, count in trace.confusion if label == guess)
    assert trace.accuracy == pytest.approx(hits / 56)
    assert trace.macro_f1 is not None
    assert 0 < trace.macro_f1 <= 1
    assert Trace.from_dict(json.loads(json.dumps(trace.to_dict()))) == trace


def test_a_search_in_hindsight_and_a_policy_run_on_labels_too() -> None:
    search = run_job(job("search-hindsight", settings=(("trials", 3),)))
    assert search.mean_loss_bpb <= run_job(job("base")).mean_loss_bpb
    assert search.trial_examples > 0
    assert run_job(job("policy")).loss_unit == "label"


def test_answers_are_compared_in_bits_a_byte_with_exact_match() -> None:
    config = CompareConfig(
        controllers=("base",), suite="questions", streams=1, model="pico", rounds=2, base_lr_mult=(1.0,)
    )
    model = load_model("pico")
    [asked] = plan_jobs(config, model, base_of(config, model))
    trace = run_job(asked)
    assert trace.loss_unit == "byte"
    assert trace.accuracy is not None
    assert trace.macro_f1 is None
    assert 0.5 < trace.mean_loss_bpb < 8


def test_a_file_of_ones_own_with_labels_is_compared_and_its_rows_say_the_unit(tmp_path: Path) -> None:
    path = tmp_path / "mail.jsonl"
    rows = [{"text": f"{'win' if k % 2 else 'see'} {k}", "label": k % 2} for k in range(64)]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    config = CompareConfig(
        controllers=("base",),
        stream=str(path),
        task="classify",
        model="pico",
        base_lr_mult=(1.0,),
        processes=1,
    )
    [row] = compare(config, cache=tmp_path / "cache").rows()
    assert (row["loss_unit"], row["rounds"]) == ("label", 4)
    assert row["metric"] is not None


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"task": "guess"}, "task must be one of"),
        ({"task": "classify"}, "no effect on a suite"),
        ({"stream": "a.jsonl", "classes": ("a", "b")}, "no effect without --task classify"),
    ],
)
def test_a_task_that_does_not_fit_is_told(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        CompareConfig(**settings)


def test_every_scenario_has_a_page() -> None:
    assert sorted(name for page in PAGES.values() for name in page.scenarios) == sorted(SCENARIOS)


SHIPPED_PAGES = [name for name in PAGES if (ROOT / "docs" / "scenarios" / f"{name}.md").is_file()]


@pytest.mark.parametrize("name", SHIPPED_PAGES)
def test_the_pages_that_ship_are_what_their_raw_results_say(name: str, tmp_path: Path) -> None:
    shipped = ROOT / "docs" / "scenarios"
    for folder in ("raw", "reading"):
        (tmp_path / folder).symlink_to(shipped / folder)
    page = write_scenario_page(PAGES[name], tmp_path)
    assert page.read_text() == (shipped / f"{name}.md").read_text()
