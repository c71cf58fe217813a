#!/usr/bin/env python
"""Benchmarks of olrl, section by section, as JSON.

    python scripts/benchmark.py --section round --section decision --repeat 3
    python scripts/benchmark.py --against ../olrl-before --out before-and-after.json --markdown
    python scripts/benchmark.py --section documents --documents 1000000 --out million.json

Each section runs in a fresh process with one thread. With `--against`, this version and the other (a checkout)
take turns, A B A B …, measured by the same program in one run, so that a slow hour slows both; what the other
lacks is reported as absent. A figure's value is wall time by time.perf_counter or made from it, unless its name
says processor time; memory is resident memory. `best` and `median` are over the repeats, and the ratios are this
version's over the other's: on a machine that is used by others, that of the best is the one to believe. Exits 1
where a part of this version failed.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when numpy is imported

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.figures import Setting
from benchmarks.machine import facts
from benchmarks.registry import MODULES
from benchmarks.tables import markdown
from benchmarks.trees import ROOT, Bench, Tree
from benchmarks.worker import measure


def main() -> int:
    """Measure, write, and say where something failed."""
    args = _arguments()
    if args.worker:
        setting = Setting(quick=args.quick, documents=args.documents, scratch=args.scratch, seed=args.seed)
        measure(args.worker, setting, args.out, only=args.part, profile=args.profile)
        return 0
    trees = [Tree(name="this", path=ROOT)]
    if args.against is not None:
        if not (args.against / "olrl" / "__init__.py").is_file():
            print(f"--against {args.against} is no checkout of olrl", file=sys.stderr)
            return 2
        trees.append(Tree(name="other", path=args.against.resolve()))
    options = ["--documents", str(args.documents), "--seed", str(args.seed)]
    options += [word for part in args.part for word in ("--part", part)]
    options += [f"--{name}" for name in ("quick", "profile") if getattr(args, name)]
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(trees=tuple(trees), repeats=args.repeat, scratch=Path(scratch), options=tuple(options))
        sections = {name: bench.section(name) for name in args.section or MODULES}
    result = {
        "machine": facts(),
        "quick": args.quick,
        "repeats": args.repeat,
        "trees": [tree.name for tree in trees],
        "sections": sections,
    }
    _tell(result, args.out, as_markdown=args.markdown)
    return int(_failed(sections))


def _arguments() -> argparse.Namespace:
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--section", action="append", choices=list(MODULES), help="repeatable; default: all")
    parser.add_argument(
        "--part", action="append", default=[], help="only parts of this name, such as pico; repeatable"
    )
    parser.add_argument("--against", type=Path, help="a checkout of another version")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each section and version (default 3)")
    parser.add_argument("--out", type=Path, help="a file for the JSON; standard output otherwise")
    parser.add_argument("--markdown", action="store_true", help="print tables; the JSON goes to --out only")
    parser.add_argument(
        "--quick", action="store_true", help="seconds instead of minutes; numbers mean little"
    )
    parser.add_argument("--profile", action="store_true", help="also print the costliest functions")
    parser.add_argument("--documents", type=int, default=20_000, help="length of the stream (default 20,000)")
    parser.add_argument("--seed", type=int, default=0, help="keys the moves (default 0)")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.repeat < 1 or args.documents < 1:
        parser.error("--repeat and --documents must be at least 1")
    return args


def _tell(result: dict[str, Any], out: Path | None, *, as_markdown: bool) -> None:
    text = json.dumps(result, indent=1, allow_nan=False) + "\n"
    if out is not None:
        out.write_text(text, encoding="utf-8")
    if as_markdown:
        print(markdown(result), end="")
    elif out is None:
        print(text, end="")


def _failed(sections: dict[str, Any]) -> bool:
    return any("this" in part.get("failed", {}) for parts in sections.values() for part in parts.values())


if __name__ == "__main__":
    sys.exit(main())
