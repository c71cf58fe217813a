#!/usr/bin/env python
"""The pages of the five uses: `python scripts/scenarios.py NAME` makes docs/scenarios/NAME.md.

    python scripts/scenarios.py sentiment           from the raw results that ship, in seconds
    python scripts/scenarios.py sentiment --rerun   measures it again first, in a few minutes on two idle cores
    python scripts/scenarios.py all --rerun --only policy    one entrant, after another training
    python scripts/scenarios.py sentiment --tune    tunes its constant again, on text that is in no test stream
    python scripts/scenarios.py all --rerun         all five

Names: dialogue, generation, questions, sentiment, medical. Runs are kept in --cache and never made twice, searches
too; stop with Ctrl-C and start again at will. Sentiment and medical need `python scripts/fetch_scenarios.py` first.
"""

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rerun_options import add_rerun
from rich.console import Console

from olrl.agents.bars import Bars
from olrl.agents.evaluation.compare import Outcome, base_of, compare, plan_jobs
from olrl.agents.evaluation.jobs import Job, run_jobs
from olrl.agents.evaluation.raw import SUFFIX, raw_of, read_raw, renewed, write_raw
from olrl.agents.evaluation.scenario_page import ENTRANTS, PAGES, SAMPLES, ScenarioPage, write_scenario_page
from olrl.agents.evaluation.scenario_samples import samples
from olrl.agents.evaluation.scenarios import TUNED, scenario_streams, tuning_record
from olrl.agents.rivals.search import LadderSearch
from olrl.agents.workers.local import LocalWorkers
from olrl.control.decision import BATCH_SIZES, WINDOWS, Base
from olrl.models.load import load_model

ROOT = Path(__file__).parent.parent
TUNING_ROUNDS = 60
NOTCHES = range(-5, 6)  # factors of two from the base that a tuned rate may lie off


def main() -> int:
    """Tune and measure what is asked for, then make the pages."""
    args = _arguments()
    pages = PAGES.values() if args.name == "all" else [PAGES[args.name]]
    with Bars(Console()) as bars:
        try:
            for page in pages:
                _do(page, args, bars)
        except (ValueError, OSError) as error:
            bars.say(f"scenarios: {error}")
            return 2
    return 0


def _do(page: ScenarioPage, args: argparse.Namespace, bars: Bars) -> None:
    if args.tune:
        for name in page.scenarios:
            _tune(name, page, args, bars)
    if args.rerun:
        if page.samples:
            written = samples(page.samples, model=page.model)
            (args.out / "raw").mkdir(parents=True, exist_ok=True)
            (args.out / "raw" / SAMPLES).write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
        outcomes = [_measured(name, page, args, bars) for name in page.scenarios]
        for name, outcome in zip(page.scenarios, outcomes, strict=True):
            raw = raw_of(name, [outcome], facts={})
            if args.only:
                raw = renewed(read_raw(args.out / "raw" / f"{name}{SUFFIX}"), raw)
            path = write_raw(raw, args.out / "raw")
            bars.say(f"{len(outcome.runs)} runs, {path.stat().st_size:,} bytes in {path}")
    bars.say(f"The page is {write_scenario_page(page, args.out)}")


def _measured(name: str, page: ScenarioPage, args: argparse.Namespace, bars: Bars) -> Outcome:
    config = page.config(name)
    if args.only:
        config = replace(config, controllers=tuple(args.only))
    bars.part(name, 1)
    started = False

    def progress(done: int, total: int) -> None:
        nonlocal started
        if not started:
            bars.part(name, total)
            started = True
        bars.step(done)

    return compare(replace(config, processes=args.processes), cache=args.cache, progress=progress)


def _tune(name: str, page: ScenarioPage, args: argparse.Namespace, bars: Bars) -> None:
    """Climb from the base along rate, batch size and window on the tuning stream, and record every trial."""
    config = replace(page.config(name), controllers=("base",), streams=1, rounds=TUNING_ROUNDS)
    [job, *_] = plan_jobs(config, model := load_model(config.model), base_of(config, model))
    [stream] = scenario_streams((name,), streams=1, tuning=True)
    stream = replace(stream, fixed=None)
    base = job.base
    axes: dict[str, list[Any]] = {
        "lr": [float(f"{base.lr * 2.0**k:.3g}") for k in NOTCHES],
        "batch_size": list(BATCH_SIZES),
        "window": list(WINDOWS),
    }
    start = {"lr": float(f"{base.lr:.3g}"), "batch_size": base.batch_size, "window": base.window}
    search = LadderSearch(axes, start=start)
    trials: list[dict[str, Any]] = []
    bars.part(f"tuning {name}", page.tuning_trials)
    with LocalWorkers().pool(1) as pool:  # one for all trials, which follow on each other
        while len(trials) < page.tuning_trials and (settings := search.ask()) is not None:
            tried: Job = replace(job, stream=stream, base=Base(**settings), fixed=None)
            [(_, trace)] = run_jobs([tried], cache=args.cache, processes=1, pool=pool)
            search.tell(trace.mean_loss_bpb)
            trials.append({"settings": settings, "loss": trace.mean_loss_bpb, "spent": trace.total_cost})
            bars.step(len(trials), f"best {min(trial['loss'] for trial in trials):.4f}")
    records = json.loads(TUNED.read_text(encoding="utf-8")) if TUNED.is_file() else {}
    records[name] = {
        "settings": search.best,
        "model": config.model,
        "base": asdict(base),
        "stream": stream.source,
        "unit": trace.loss_unit,
        "tuning_spent": sum(trial["spent"] for trial in trials),
        "trials": trials,
    }
    TUNED.write_text(json.dumps(dict(sorted(records.items())), indent=1) + "\n", encoding="utf-8")
    assert tuning_record(name) is not None
    bars.say(f"{name}: {search.best} after {len(trials)} trials")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", choices=[*PAGES, "all"])
    add_rerun(parser, entrants=ENTRANTS, cache=ROOT / "runs" / "scenarios-cache")
    parser.add_argument("--tune", action="store_true", help="tune the constant `fixed` first")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "scenarios")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Stopped; the runs made so far are kept: start it again to go on")
