"""One or two versions of olrl measured in turn, each section in a fresh process."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

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
        """Figures of one section: for each tree the least, the median and all values, and the trees' ratio."""
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
    figure: Told = {}
    for tree, repeats in rows.items():
        values = [row["figures"][name]["value"] for row in repeats if name in row["figures"]]
        if values:
            unit = next(row["figures"][name]["unit"] for row in repeats if name in row["figures"])
            figure["unit"] = unit
            figure[tree] = {"least": min(values), "median": median(values), "values": values}
    medians = [figure[tree]["median"] for tree in rows if tree in figure]
    if len(rows) == 2 and len(medians) == 2 and medians[1]:
        figure["ratio"] = medians[0] / medians[1]  # this version over the other, medians of one run
    return figure
