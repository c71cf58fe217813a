"""Options of the programs that make pages from raw results, or measure these again first."""

import argparse
from collections.abc import Collection
from pathlib import Path

from olrl.agents.warm_processes import usable_cores


def add_rerun(parser: argparse.ArgumentParser, *, entrants: Collection[str], cache: Path) -> None:
    """`--rerun`, `--only`, `--processes` and `--cache`."""
    parser.add_argument("--rerun", action="store_true", help="measure first; else the raw results are taken")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        choices=entrants,
        metavar="ENTRANT",
        help="with --rerun: measure only this entrant again; repeatable",
    )
    parser.add_argument("--processes", type=int, default=usable_cores(), help="default: one a core")
    parser.add_argument(
        "--cache", type=Path, default=cache, help="runs that were made (default: %(default)s)"
    )
