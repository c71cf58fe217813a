import json
import math
import shlex
from dataclasses import asdict, replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2

from olrl.agents.evaluation import command
from olrl.agents.evaluation.compare import CompareConfig, Outcome, base_of, compare, plan_jobs
from olrl.agents.evaluation.entrants import policy_seed
from olrl.agents.evaluation.events import write_events
from olrl.agents.evaluation.jobs import Job, run_job
from olrl.agents.evaluation.play import Trace
from olrl.analysis.compare_command import PYTHON_ONLY, compare_command
from olrl.analysis.folder_report import write_folder_report
from olrl.cli import execute
from olrl.control.decision import Base
from olrl.control.policy import load_policy
from olrl.learners.cost import CostModel
from olrl.models.load import load_model
from olrl.run_folder import RunFolder
from tests.deployed import untrained_policy

ROUNDS = 10
# The fields that tests and readers outside rely on, in their order.
FIELDS = (
    "suite",
    "stream",
    "drift_kind",
    "model",
    "controller",
    "policy_seed",
    "seed",
    "base_lr_mult",
    "price",
    "rounds",
    "loss_bpb",
    "metric",
    "spent",
    "signal_examples",
    "tuning_examples",
    "updates",
    "seconds",
    "diverged",
)
ENTRANTS = ("never", "base", "fixed", "hypergradient", "drift-reset")
OPTIONS = (
    "--model pico --streams 1 --rounds 10 --base-lr-mult 1,8 --split validation --controllers "
    + ",".join(ENTRANTS)
).split()


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a comparison on the drift suite."""
    out = tmp_path_factory.mktemp("compare") / "out"
    assert execute(["compare", *OPTIONS, "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def outcome(result: Path) -> Outcome:
    """The same comparison, round by round: all of it comes from the cache."""
    config = CompareConfig(
        controllers=ENTRANTS,
        model="pico",
        streams=1,
        rounds=ROUNDS,
        base_lr_mult=(1.0, 8.0),
        split="validation",
    )
    return compare(config, cache=result / "cache")


def results(folder: Path) -> dict[str, Any]:
    """results.json, which may hold no NaN and no infinity."""

    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} in results.json")

    read: dict[str, Any] = json.loads((folder / "results.json").read_text(), parse_constant=refuse)
    return read


def numbers(folder: Path) -> list[dict[str, Any]]:
    """The runs without how long they took."""
    return [{name: row[name] for name in FIELDS if name != "seconds"} for row in results(folder)["runs"]]


def mistake(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence a mistake is answered with."""
    capsys.readouterr()
    assert execute(arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith("olrl: ")
    assert told.count("\n") == 1
    return told


def test_results_have_exactly_the_fields_that_are_promised(result: Path) -> None:
    told = results(result)
    assert set(told) == {"runs", "summary", "versions", "corpus_sha256"}
    assert {tuple(row) for row in told["runs"]} == {FIELDS}
    ran = [(row["controller"], row["base_lr_mult"]) for row in told["runs"]]
    with_base = [(name, mult) for name in ("base", "hypergradient", "drift-reset") for mult in (1.0, 8.0)]
    assert sorted(ran) == sorted([("never", 1.0), ("fixed", 1.0), *with_base])
    assert all(row["rounds"] == ROUNDS and 0 < row["loss_bpb"] < 8 for row in told["runs"])
    tuned = {row["controller"] for row in told["runs"] if row["tuning_examples"] > 0}
    assert tuned == {"fixed", "hypergradient", "drift-reset"}  # what was tuned owns up to it
    assert len(told["corpus_sha256"]) == 64
    assert {"olrl", "torch"} <= set(told["versions"])


def test_the_folder_holds_report_and_figures(result: Path) -> None:
    report = (result / "report.md").read_text()
    figures = list((result / "figures").glob("*.png"))
    assert figures
    assert all(f"figures/{figure.name}" in report for figure in figures)
    assert all(f"| {name} |" in report for name in ENTRANTS)


def test_the_page_and_the_report_say_how_to_run_it_again(result: Path, outcome: Outcome) -> None:
    asked = compare_command(json.loads((result / "config.json").read_text()))
    assert f"```sh\n{asked}\n```" in (result / "report.md").read_text()
    write_folder_report(result)
    assert asked in unescape((result / "report.html").read_text())


@pytest.mark.parametrize(
    "config",
    [
        CompareConfig(
            controllers=("base", "policy"), suite="quiet", price=0.0, policies=("a b", "c"), seeds=2
        ),
        CompareConfig(suite="ciphered", split="validation", model="bpe", base_lr_mult=(0.1 + 0.2,), rounds=7),
        CompareConfig(
            stream="my mail.jsonl",
            task="classify",
            classes=("ham", "s pam"),
            text_features=64,
            base_lr=1.5e-4,
            base_batch=4,
            base_window=0,
            cost=CostModel(budget=48),
        ),
    ],
)
def test_the_command_of_a_comparison_asks_for_the_same(
    config: CompareConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[CompareConfig] = []
    monkeypatch.setattr(command, "compare_and_tell", lambda config, **options: given.append(config))
    words = shlex.split(compare_command(command._settings(config)))
    assert execute([*words[1:], "--out", str(tmp_path / "out")]) == 0
    assert given == [config]


def test_what_no_option_sets_is_what_it_is_by_itself() -> None:
    settings = command._settings(CompareConfig())
    assert {name: settings[name] for name in PYTHON_ONLY} == PYTHON_ONLY


REFERENCE_TAGS = {"loss/reference_bpb_ema", "loss/saved_bpb_ema", "cost/saved_against_reference_total"}


def events_of(folder: Path, entrant: str) -> EventAccumulator:
    """What TensorBoard shows of an entrant on the only stream."""
    (found,) = folder.glob(f"*/{entrant}")
    return EventAccumulator(str(found)).Reload()


def charts(events: EventAccumulator) -> set[str]:
    """The titles of the charts that the tab Custom Scalars promises."""
    (content,) = events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val
    layout = layout_pb2.Layout.FromString(content)
    return {chart.title for category in layout.category for chart in category.chart}


def last(events: EventAccumulator, tag: str) -> float:
    return float(events.Scalars(tag)[-1].value)


def test_tensorboard_shows_what_was_saved_against_the_base(result: Path, outcome: Outcome) -> None:
    never, base = (events_of(result / "tensorboard", name) for name in ("never", "base-base-x1"))
    assert set(never.Tags()["scalars"]) >= REFERENCE_TAGS
    assert any("against the reference" in title for title in charts(never))
    reference = last(base, "loss/bpb_ema")
    assert last(never, "loss/reference_bpb_ema") == pytest.approx(reference)
    assert last(never, "loss/saved_bpb_ema") == pytest.approx(
        reference - last(never, "loss/bpb_ema"), abs=1e-5
    )
    spent = {(job.entrant, job.base_lr_mult): sum(trace.spent) for job, trace in outcome.runs}
    assert last(never, "cost/saved_against_reference_total") == spent["base", 1.0] > 0
    assert last(base, "cost/saved_against_reference_total") == 0


def test_without_the_base_no_chart_is_promised_against_it(outcome: Outcome, tmp_path: Path) -> None:
    runs = tuple((job, trace) for job, trace in outcome.runs if job.entrant in ("never", "fixed"))
    write_events(replace(outcome, runs=runs), tmp_path)
    never = events_of(tmp_path, "never")
    assert not REFERENCE_TAGS & set(never.Tags()["scalars"])
    assert "drift alarms so far" in charts(never)
    assert not any("against the reference" in title for title in charts(never))


def test_every_entrant_reads_the_same_tokens_before_it_differs(outcome: Outcome) -> None:
    traces = [trace for _, trace in outcome.runs]
    assert len({trace.loss_bpb[0] for trace in traces}) == 1
    assert len({(trace.n_bytes, trace.source, trace.segment) for trace in traces}) == 1
    assert len({trace.loss_bpb[1] for trace in traces}) > 2  # and then it does


def test_what_an_entrant_does_is_what_its_name_says(outcome: Outcome) -> None:
    traces = {(job.entrant, job.base_lr_mult): trace for job, trace in outcome.runs}
    never, base, fixed = (traces[name, 1.0] for name in ("never", "base", "fixed"))
    assert sum(never.updates) == sum(never.spent) == 0
    assert base.loss_bpb == fixed.loss_bpb  # the base that ships with pico is its tuned constant
    assert set(traces["base", 8.0].lr) == {8 * base.lr[0]}
    assert len(set(traces["hypergradient", 8.0].lr)) > 1


def test_the_loss_is_weighted_by_bytes_from_round_one_on(outcome: Outcome) -> None:
    trace = outcome.runs[0][1]
    bits = sum(loss * n for loss, n in zip(trace.loss_bpb[1:], trace.n_bytes[1:], strict=True))
    assert outcome.rows()[0]["loss_bpb"] == pytest.approx(bits / sum(trace.n_bytes[1:]), rel=1e-12)


def test_a_single_round_is_judged_by_itself(outcome: Outcome) -> None:
    trace = outcome.runs[0][1]
    alone = replace(trace, loss_bpb=trace.loss_bpb[:1], n_bytes=trace.n_bytes[:1])
    assert alone.mean_loss_bpb == pytest.approx(trace.loss_bpb[0])


def test_the_tuned_constant_is_the_same_whatever_base_is_given() -> None:
    model = load_model("pico")
    fixed, traces = model.fixed, []
    assert fixed is not None
    for rate in (fixed.lr, 1000 * fixed.lr):  # the guard bounds a rate to 64 times its base
        config = CompareConfig(controllers=("fixed",), streams=1, rounds=3, model="pico", base_lr=rate)
        [job] = plan_jobs(config, model, base_of(config, model))
        traces.append(run_job(job))
    assert traces[0].loss_bpb == traces[1].loss_bpb
    assert set(traces[1].lr) == {fixed.lr}


def test_resuming_makes_only_the_runs_that_are_missing(result: Path) -> None:
    before = results(result)
    lost, *_ = sorted((result / "cache").glob("*.json"))
    seconds = json.loads(lost.read_text())["seconds"]
    lost.write_text(lost.read_text()[:100])  # cut short by a crash
    (result / "results.json").unlink()
    assert execute(["compare", *OPTIONS, "--out", str(result), "--resume"]) == 0
    after = results(result)
    anew = [
        b["seconds"]
        for a, b in zip(before["runs"], after["runs"], strict=True)
        if a["seconds"] != b["seconds"]
    ]
    assert anew == [json.loads(lost.read_text())["seconds"]]
    assert anew != [seconds]
    for a, b in zip(before["runs"], after["runs"], strict=True):
        assert {**a, "seconds": None} == {**b, "seconds": None}  # to the bit, though made in another process


def test_a_stream_of_ones_own_and_a_policy(tmp_path: Path) -> None:
    text = "The quick brown fox jumps over the lazy dog, and then over the fence, number {}. "
    rows = [json.dumps({"text": text.format(k) * 10}) for k in range(40)]
    (tmp_path / "own.jsonl").write_text("\n".join(rows) + "\n")
    policy = untrained_policy(tmp_path / "policy")
    options = [
        "--model",
        "pico",
        "--stream",
        str(tmp_path / "own.jsonl"),
        "--rounds",
        "8",
        "--base-lr-mult",
        "1",
    ]
    options += ["--controllers", "base,policy", "--policy", str(policy), "--seeds", "2", "--price", "0.01"]
    assert execute(["compare", *options, "--out", str(tmp_path / "out")]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"own.jsonl", "policy", "out"}
    assert len(list((tmp_path / "out").glob("tensorboard/*/*/events.*"))) == 4
    runs = numbers(tmp_path / "out")
    assert [(run["controller"], run["seed"]) for run in runs] == [
        (n, k) for n in ("base", "policy") for k in (0, 1)
    ]
    assert {run["suite"] for run in runs} == {None}
    assert {run["price"] for run in runs} == {0.01}
    assert runs[0]["loss_bpb"] != runs[1]["loss_bpb"]  # other draws from memory
    assert runs[0]["loss_bpb"] != runs[2]["loss_bpb"]


def test_the_seed_of_a_policy_is_told_where_it_is_known(tmp_path: Path) -> None:
    unknown = str(untrained_policy(tmp_path / "policy"))
    assert policy_seed("policy", unknown) is None
    assert policy_seed("base", unknown) is None
    assert policy_seed("default", unknown) == load_policy("default").training["seed"]


@pytest.mark.parametrize("task", ["lm", "classify"])
def test_every_entrant_starts_from_what_a_search_has_found_changed_by_the_options(
    task: str, tmp_path: Path
) -> None:
    found = Base(lr=7e-4, batch_size=2, window=16, weight_decay=0.05)
    (tmp_path / "base.json").write_text(json.dumps(asdict(found)))
    config = CompareConfig(
        controllers=("base", "fixed", "drift-reset"), stream="builtin:docstrings", model="pico", rounds=3,
        task=task, classes=("a", "b") if task == "classify" else (),
        base_from=str(tmp_path), base_window=1, base_lr_mult=(1.0, 8.0),
    )  # fmt: skip
    model = load_model("pico")
    asked = plan_jobs(config, model, base_of(config, model))
    assert {(job.entrant, job.base_lr_mult): job.base for job in asked} == {
        (name, mult): replace(found, window=1, lr=mult * 7e-4)
        for name, mult in (
            ("base", 1.0),
            ("base", 8.0),
            ("drift-reset", 1.0),
            ("drift-reset", 8.0),
            ("fixed", 1.0),
        )
    }
    assert {job.fixed for job in asked} == {model.fixed if task == "lm" else None}


def test_a_model_without_a_base_is_compared_from_what_a_search_has_found(tmp_path: Path) -> None:
    found = Base(lr=7e-4, weight_decay=0.05)
    (tmp_path / "base.json").write_text(json.dumps(asdict(found)))
    unshipped = replace(load_model("pico"), base=None)
    config = CompareConfig(controllers=("base",), model="pico", base_from=str(tmp_path))
    assert base_of(config, unshipped) == found
    with pytest.raises(ValueError, match="--base-lr, or with --base-from"):
        base_of(replace(config, base_from=None), unshipped)


def lost_run(lr: float) -> Trace:
    config = CompareConfig(
        controllers=("base",), streams=1, rounds=6, model="pico", base_lr=lr, base_lr_mult=(1.0,)
    )
    model = load_model("pico")
    [job] = plan_jobs(config, model, base_of(config, model))
    return run_job(job)


@pytest.mark.parametrize("lr", [1e2, 1e38], ids=["a loss of millions of bits", "no finite loss"])
def test_a_lost_run_is_charged_the_uniform_predictor_and_flagged(lr: float) -> None:
    trace = lost_run(lr)
    assert trace.diverged
    assert trace.loss_bpb[0] < 6  # before any training
    assert trace.loss_bpb[1:] == (8.0,) * 5
    assert trace.mean_loss_bpb == 8.0
    assert all(math.isfinite(rate) for rate in trace.lr)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--controllers", "base,magic"], "unknown controller 'magic'; choose from never, base"),
        (["--split", "exam"], "exam"),
        (["--rounds", "-3"], "rounds must be at least 1, not -3"),
        (["--streams", "0"], "streams must be at least 1, not 0"),
        (["--seeds", "0"], "seeds must be at least 1, not 0"),
        (["--suite", "nonsense"], "unknown suite 'nonsense'; choose from drift, time, quiet, transfer"),
        (["--base-lr-mult", "1,two"], "--base-lr-mult takes numbers"),
        (["--stream", "-"], "standard input cannot be"),
        (["--base-lr-mult", "0"], "base-lr-mult takes positive factors"),
        (["--base-lr", "-1"], "lr must be"),
        (["--base-batch", "65"], "batch size must be"),
        (["--budget", "0"], "budget must be"),
        (["--price", "-1"], "price must be"),
        (["--text-features", "5"], "text_features have no effect where nothing is classified"),
        (["--base-from", "nowhere"], "nowhere holds no base.json"),
        (["--model", "./nowhere"], "./nowhere"),
        (["--stream", "nothing.jsonl"], "no file or folder 'nothing.jsonl'"),
        (["--controllers", "policy", "--policy", "nowhere"], "nowhere"),
        (["--resume"], "--resume needs --out"),
        (["--resume", "--out", "nowhere"], "nowhere is not a folder"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing_behind(
    options: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["compare", "--model", "pico", "--streams", "1", "--rounds", "4", "--controllers", "base"]
    assert told in mistake([*given, *options], capsys)
    assert not list(tmp_path.glob("runs/*"))


def test_resuming_with_other_options_is_refused(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = ["compare", *OPTIONS, "--price", "0.5", "--out", str(result), "--resume"]
    told = mistake(other, capsys)
    assert "--resume with price 0.5, but the comparison in" in told
    assert "was started with 0.0" in told


def test_resuming_on_another_text_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text.jsonl"
    text.write_text(
        "".join(json.dumps({"text": f"row {k} of a text that is long enough " * 4}) + "\n" for k in range(80))
    )
    given = [
        "compare",
        "--stream",
        str(text),
        "--model",
        "femto",
        "--rounds",
        "3",
        "--controllers",
        "never,base",
    ]
    given += ["--base-lr-mult", "1", "--out", str(tmp_path / "out")]
    assert execute(given) == 0
    assert execute([*given, "--resume"]) == 0
    before = (tmp_path / "out" / "results.json").read_bytes()
    text.write_text(text.read_text()[400:])
    assert "--resume with another text in" in mistake([*given, "--resume"], capsys)
    assert (tmp_path / "out" / "results.json").read_bytes() == before


def test_resuming_what_is_no_comparison_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    RunFolder.create(tmp_path / "run").write_config({"kind": "run", "run": {}})
    assert "is not the folder of an olrl compare" in mistake(
        ["compare", "--out", str(tmp_path / "run"), "--resume"], capsys
    )


def test_an_old_result_is_not_overwritten(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "already holds a run" in mistake(["compare", *OPTIONS, "--out", str(result)], capsys)


def test_another_corpus_is_said_when_a_comparison_is_resumed(
    result: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = json.loads((result / "config.json").read_text())
    (result / "config.json").write_text(json.dumps({**config, "corpus_sha256": "0123456789"}))
    assert execute(["compare", *OPTIONS, "--out", str(result), "--resume"]) == 0
    assert "Warning: these results are of another builtin corpus (01234567)" in capsys.readouterr().out
    assert json.loads((result / "config.json").read_text()) == config  # said once
    assert execute(["compare", *OPTIONS, "--out", str(result), "--resume"]) == 0
    assert "Warning" not in capsys.readouterr().out


def plan(*policies: str, controllers: tuple[str, ...] = ("base", "policy")) -> list[Job]:
    config = CompareConfig(
        controllers=controllers, streams=2, rounds=3, model="femto", policies=policies, base_lr_mult=(1.0,)
    )
    model = load_model("femto")
    return plan_jobs(config, model, base_of(config, model))


def test_each_policy_runs_once_on_every_stream_and_the_others_do_not_run_again(tmp_path: Path) -> None:
    one, two = (str(untrained_policy(tmp_path / str(seed), seed=seed)) for seed in (0, 1))
    jobs = plan(one, two)
    assert [(job.entrant, job.policy) for job in jobs] == [
        *[("base", "default")] * 2,
        *[("policy", one)] * 2,
        *[("policy", two)] * 2,
    ]
    assert len({job.key for job in jobs}) == 6
    before = {job.key for job in plan(one)}
    assert before <= {job.key for job in jobs}  # one more policy makes no cached run stale


def test_policies_that_results_could_not_tell_apart_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [str(untrained_policy(tmp_path / str(seed), seed=seed)) for seed in (0, 1)]
    given = [word for folder in folders for word in ("--policy", folder)]
    options = ["--model", "femto", "--controllers", "policy", "--rounds", "3", "--streams", "1"]
    told = mistake(["compare", *options, *given, "--out", str(tmp_path / "out")], capsys)
    assert "have the same training seed, None" in told


def test_a_search_on_the_stream_itself_owns_up_to_its_trials() -> None:
    config = CompareConfig(controllers=("search-hindsight",), streams=1, rounds=3, model="femto")
    model = load_model("femto")
    [job] = plan_jobs(config, model, base_of(config, model))  # one: it uses no base
    job = replace(job, settings=(("trials", 3),))
    trace = run_job(job)
    outcome = Outcome(
        config=config,
        base=base_of(config, model),
        runs=((job, trace),),
        policy_seeds={"search-hindsight": None},
        versions={},
        corpus_sha256=None,
    )
    [row] = outcome.rows()
    assert tuple(row) == FIELDS
    assert row["tuning_examples"] == trace.trial_examples > 0
    assert row["spent"] == trace.total_spent > sum(trace.spent)
