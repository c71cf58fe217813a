#!/usr/bin/env python
"""The results page: docs/results.md and its figures.

    python scripts/results.py                                 from the raw results that ship, in seconds
    python scripts/results.py --rerun --part nano             measures a part again first
    python scripts/results.py --rerun --part nano --only policy    of a part one entrant, after another training
    python scripts/results.py --rerun --streams 3 --rounds 30 --model pico --out trial    a small trial

What the parts are stands in agents/evaluation/headline.py. Runs are kept in --cache and never made twice; stop
with Ctrl-C and start again at will. Policies are looked for where that table says; entrants, models and policies
that are not there are left out with a word.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from rerun_options import add_rerun
from rich.console import Console

from olrl.agents.bars import Bars
from olrl.agents.evaluation.compare import Outcome, compare
from olrl.agents.evaluation.entrants import ENTRANTS
from olrl.agents.evaluation.headline import PARTS, Part, configs, only, smaller
from olrl.agents.evaluation.matched import matched_config
from olrl.agents.evaluation.page import write_page
from olrl.agents.evaluation.raw import SUFFIX, raw_of, read_raw, renewed, write_raw
from olrl.agents.evaluation.results import corpus_warning
from olrl.agents.evaluation.suites import quiet_share
from olrl.streams.corpus import corpus_sha256, load_corpus

ROOT = Path(__file__).parent.parent


def main() -> int:
    """Measure what is asked for, then make the page."""
    args = _arguments()
    results = args.out / "results"
    with Bars(Console()) as bars:
        if args.rerun:
            for part in [PARTS[name] for name in args.part or PARTS]:
                part = smaller(part, streams=args.streams, rounds=args.rounds, model=args.model)
                _rerun(only(part, args.only) if args.only else part, args, bars)
        for path in sorted(results.glob(f"*{SUFFIX}")):
            if warning := corpus_warning(read_raw(path).corpus_sha256, corpus_sha256()):
                bars.say(f"{path.name}: {warning}")
        try:
            bars.say(f"The page is {write_page(args.out)}")
        except ValueError as error:
            bars.say(f"No page: {error}")
            return 2
    return 0


def _rerun(part: Part, args: argparse.Namespace, bars: Bars) -> None:
    if not part.entrants:
        bars.say(f"{part.name} stays as it was: it has no {', '.join(args.only)}")
        return
    planned, skipped = configs(part, root=args.policies)
    if skipped:
        bars.say(f"{part.name} goes without: {'; '.join(skipped)}")
    outcomes: list[Outcome] = []
    for config in planned:
        bars.part(part.name, 1)
        started = False

        def progress(done: int, total: int) -> None:
            nonlocal started
            if not started:
                bars.part(part.name, total)
                started = True
            bars.step(done)

        try:
            outcomes.append(
                compare(replace(config, processes=args.processes), cache=args.cache, progress=progress)
            )
        except (ValueError, OSError) as error:
            bars.say(f"{part.name} is left out: {error}")
            return
    if outcomes:
        outcomes += _matched(part, outcomes[0], args, bars)
        raw, results = raw_of(part.name, outcomes, facts=_facts(outcomes[0])), args.out / "results"
        before = results / f"{part.name}{SUFFIX}"
        if args.only and before.exists():
            try:
                raw = renewed(read_raw(before), raw)
            except ValueError as error:
                bars.say(f"{part.name} stays as it was: {error}")
                return
        path = write_raw(raw, results)
        bars.say(
            f"{part.name}: {sum(len(o.runs) for o in outcomes)} runs, {path.stat().st_size:,} bytes in {path}"
        )


def _matched(part: Part, outcome: Outcome, args: argparse.Namespace, bars: Bars) -> list[Outcome]:
    """The entrants that are to train in as many rounds as the policy did."""
    if not part.matched:
        return []
    if "policy" not in outcome.config.controllers:
        bars.say(f"{part.name} goes without {', '.join(part.matched)}: there is no policy to match")
        return []
    config = matched_config(outcome, part.matched, cache=args.cache)
    told = ", ".join(f"{name} {key} {value:.3g}" for name, key, value in config.settings)
    bars.say(f"{part.name}: as many rounds as the policy trained: {told}")
    return [compare(config, cache=args.cache)]


def _facts(outcome: Outcome) -> dict[str, float]:
    """Numbers about the streams that a reader should know."""
    if outcome.config.suite != "quiet":
        return {}
    drifts = {job.stream.name: job.stream.drift for job, _ in outcome.runs}
    shares = [quiet_share(drift, load_corpus()) for drift in drifts.values() if drift is not None]
    return {"quiet rounds": sum(shares) / len(shares)}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog="Parts: " + ", ".join(PARTS)
    )
    add_rerun(parser, entrants=ENTRANTS, cache=ROOT / "runs" / "results-cache")
    parser.add_argument("--part", action="append", default=[], choices=PARTS, help="only this; repeatable")
    parser.add_argument("--streams", type=int, help="at most so many streams a part, to try it out")
    parser.add_argument("--rounds", type=int, help="at most so many rounds a stream")
    parser.add_argument("--model", help="another model than the part's")
    parser.add_argument(
        "--policies", type=Path, default=ROOT, help="where runs/policies lies (default: here)"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder of results.md and results/")
    args = parser.parse_args()
    trimmed = (args.streams, args.rounds, args.model) != (None, None, None)
    if trimmed and args.out.resolve() == (ROOT / "docs").resolve():
        parser.error("--streams, --rounds and --model make a trial: give it another --out than docs")
    if (args.part or args.only) and not args.rerun:
        parser.error("--part and --only say what to measure: give them with --rerun")
    return args


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Stopped; the runs made so far are kept: start it again to go on")
