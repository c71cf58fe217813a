"""One or two versions of olrl measured in turn, each section in a fresh process."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from .figures import RATES
from .worker import WHOLE

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "scripts" / "benchmark.py"
Told = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A checkout of olrl, by its name in the result."""

    name: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What is measured on which trees, how often, with which options of the program."""

    trees: tuple[Tree, ...]
    repeats: int
    scratch: Path
    options: tuple[str, ...] = field(default=())

    def section(self, name: str) -> Told:
        """Figures of one section: for each tree the best, the median and all values, and the trees' ratios."""
        told: dict[str, list[Told]] = {tree.name: [] for tree in self.trees}
        for number in range(self.repeats):
            for tree in self.trees:
                print(f"{name}: {tree.name}, {number + 1} of {self.repeats}", file=sys.stderr, flush=True)
                told[tree.name].append(self._one(name, tree, number))
        parts = dict.fromkeys(part for rows in told.values() for row in rows for part in row)
        return {part: _part({tree: [row[part] for row in told[tree]] for tree in told}) for part in parts}

    def _one(self, name: str, tree: Tree, number: int) -> Told:
        out = self.scratch / f"{name}-{tree.name}-{number}.json"
        command = [sys.executable, str(PROGRAM), "--worker", name, "--scratch", str(self.scratch)]
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(tree.path),
            "PYTHONSAFEPATH": "",
        }
        ended = subprocess.run(
            [*command, "--out", str(out), *self.options],
            cwd=tree.path,
            env=environment,
            stdout=sys.stderr,
            check=False,
        )
        if not out.exists():
            failed = f"the process ended with code {ended.returncode}"
            return {WHOLE: {"figures": {}, "failed": failed}}
        read: Told = json.loads(out.read_text(encoding="utf-8"))
        return read


def _part(rows: dict[str, list[Told]]) -> Told:
    """What the trees' rows of one part come to."""
    told: Told = {"figures": {}}
    for tree, repeats in rows.items():
        for reason in ("absent", "failed"):
            said = [row[reason] for row in repeats if reason in row]
            if said:
                told.setdefault(reason, {})[tree] = said[0]
    names = dict.fromkeys(name for repeats in rows.values() for row in repeats for name in row["figures"])
    for name in names:
        told["figures"][name] = _figure(name, rows)
    return told


def _figure(name: str, rows: dict[str, list[Told]]) -> Told:
    """Best, median and all values of a figure for each tree, and this version's over the other's."""
    figure: Told = {}
    for tree, repeats in rows.items():
        there = [row["figures"][name] for row in repeats if name in row["figures"]]
        if there:
            values, unit = [told["value"] for told in there], there[0]["unit"]
            best = max(values) if unit in RATES else min(values)
            figure["unit"] = unit
            figure[tree] = {"best": best, "median": median(values), "values": values}
    for ratio, of in (("ratio", "median"), ("ratio_of_best", "best")):
        this, other = (figure.get(tree, {}).get(of) for tree in ("this", "other"))
        if this is not None and other:
            figure[ratio] = this / other
    return figure
