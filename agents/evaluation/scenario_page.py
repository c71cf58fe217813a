"""The page of a use: its streams, entrants side by side, and what the figures say."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from olrl.analysis.style import save
from olrl.streams.scenarios import SCENARIOS

from .bootstrap import Interval
from .compare import CompareConfig
from .pairs import Row, pair
from .raw import SUFFIX, Raw, read_raw
from .scenarios import tuning_record
from .statistics import iqm_percent
from .tables import markdown, with_interval

ENTRANTS = ("base", "fixed", "drift-reset", "hypergradient", "search-hindsight", "policy")
SAMPLES = "samples.json"
READING = "reading"  # docs/scenarios/reading/NAME.md: what a person has to say of the figures


@dataclass(frozen=True, kw_only=True)
class ScenarioPage:
    """A page: scenarios, on how many versions of each, with which model.

    `trials` of the search on a test stream are made, at most `tuning_trials` on the tuning stream.
    """

    name: str
    title: str
    scenarios: tuple[str, ...]
    model: str
    streams: int
    trials: int = 32
    tuning_trials: int = 10
    samples: str = ""  # the scenario's version of whose end a model's own text is shown

    def config(self, name: str) -> CompareConfig:
        """The comparison of one of its scenarios."""
        return CompareConfig(
            controllers=ENTRANTS,
            suite=name,
            streams=self.streams,
            rounds=150,  # to the end of every version
            model=self.model,
            base_lr_mult=(1.0,),
            settings=(("search-hindsight", "trials", self.trials),),
        )


PAGES: dict[str, ScenarioPage] = {
    page.name: page
    for page in (
        ScenarioPage(name="dialogue", title="Dialogue", scenarios=("dialogue",), model="pico", streams=4),
        ScenarioPage(
            name="generation",
            title="Text generation",
            scenarios=("generation",),
            model="pico",
            streams=4,
            samples="generation/0",
        ),
        ScenarioPage(
            name="questions", title="Question answering", scenarios=("questions",), model="pico", streams=3
        ),
        ScenarioPage(name="sentiment", title="Sentiment", scenarios=("sentiment",), model="nano", streams=4),
        ScenarioPage(
            name="medical",
            title="Medical text",
            scenarios=("conditions", "diagnoses"),
            model="pico",
            streams=4,
        ),
    )
}


def write_scenario_page(page: ScenarioPage, folder: Path) -> Path:
    """Make `folder/NAME.md` and its figures from the raw results in `folder/raw`; ValueError if there are none."""
    raws = {}
    for name in page.scenarios:
        path = folder / "raw" / f"{name}{SUFFIX}"
        if not path.is_file():
            raise ValueError(f"there are no results of {name!r} in {path.parent}: measure with --rerun")
        raws[name] = read_raw(path)
    lines = [f"# {page.title}", ""]
    reading = folder / READING / f"{page.name}.md"
    if reading.is_file():
        lines += [reading.read_text(encoding="utf-8").strip(), ""]
    for name, raw in raws.items():
        for kind in dict.fromkeys(row["drift_kind"] for row in raw.rows):
            lines += _section(name, kind, raw, folder)
    if page.samples:
        lines += _samples(folder / "raw" / SAMPLES)
    lines += [
        "## How it was measured",
        "",
        *_measured(page, raws),
        "",
    ]
    written = folder / f"{page.name}.md"
    written.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return written


def _section(name: str, kind: str, raw: Raw, folder: Path) -> list[str]:
    rows = [row for row in raw.rows if row["drift_kind"] == kind]
    unit = rows[0].get("loss_unit") or "byte"  # None where other rows have one
    lines = [f"## `{name}`" + ("" if kind == name else f", {kind}"), "", _about(name, rows), ""]
    lines += markdown(*_losses(rows, unit))
    lines += ["Loss of the policy beside each of the others, per cent of theirs, paired by stream:", ""]
    lines += markdown(*_differences(rows))
    for example in raw.examples:
        if example.kind == kind:
            file = f"{name}-{'late' if kind != name else 'loss'}.png"
            save(replace(example, unit=unit).figure(), folder / "figures" / file)
            lines += [f"![losses and decisions on {example.stream}](figures/{file})", ""]
    return lines


def _samples(path: Path) -> list[str]:
    """What the model wrote behind the same prompt, with the same luck, after each stretch of the first version."""
    if not path.is_file():
        return []
    lines = [
        "## What it writes",
        "",
        "Behind the same prompt, with the same luck, steered by the policy:",
        "",
    ]
    for sample in json.loads(path.read_text(encoding="utf-8")):
        after = (
            f"after {sample['after']}, round {sample['round']}" if sample["after"] else "before the stream"
        )
        lines += [f"- {after}: `{_on_a_line(sample['text'])}`"]
    return [*lines, ""]


def _on_a_line(text: str) -> str:
    """Text as code on one line of Markdown: what does not print is escaped, and a backtick is no end."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return shown.replace("`", "'")


def _about(name: str, rows: Sequence[Row]) -> str:
    scenario = SCENARIOS[name]
    streams = len({row["stream"] for row in rows})
    rounds = sorted({row["rounds"] for row in rows})
    long = f"{rounds[0]}" if len(rounds) == 1 else f"{rounds[0]} to {rounds[-1]}"
    about = scenario.about[0].upper() + scenario.about[1:]
    return f"{about}. {streams} versions of {long} rounds: {scenario.versions}."


def _losses(rows: Sequence[Row], unit: str) -> tuple[list[str], list[list[str]]]:
    answers = rows[0]["metric"] is not None
    f1 = rows[0].get("macro_f1") is not None
    heads = ["entrant", f"loss, bits per {unit}", *(["right answers"] if answers else [])]
    heads += [*(["macro F1"] if f1 else []), "cost, units"]
    table = []
    for entrant in dict.fromkeys(row["controller"] for row in rows):
        mine = [row for row in rows if row["controller"] == entrant]
        cells = [f"`{entrant}`", f"{_mean(mine, 'loss_bpb'):.4f}"]
        cells += [f"{_mean(mine, 'metric'):.1%}"] if answers else []
        cells += [f"{_mean(mine, 'macro_f1'):.3f}"] if f1 else []
        table.append([*cells, f"{_mean(mine, 'total_spent'):,.0f}"])
    return heads, table


def _mean(rows: Sequence[Row], name: str) -> float:
    return float(np.mean([row[name] for row in rows]))


def _differences(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    mine = [row for row in rows if row["controller"] == "policy"]
    table = []
    for rival in dict.fromkeys(row["controller"] for row in rows):
        if rival != "policy":
            found = against(mine, [row for row in rows if row["controller"] == rival])
            table.append([f"`{rival}`", with_interval(vars(found), "+.2f")])
    return ["the policy against", "difference, % (95 % interval)"], table


def against(mine: Sequence[Row], theirs: Sequence[Row]) -> Interval:
    """The difference in per cent with its interval, paired by stream."""
    return iqm_percent(pair(mine, theirs))


def _measured(page: ScenarioPage, raws: dict[str, Raw]) -> list[str]:
    raw = next(iter(raws.values()))
    versions = ", ".join(f"{name} {version}" for name, version in raw.versions.items())
    lines = [
        f"`python scripts/scenarios.py {page.name} --rerun` measures this anew; without `--rerun` it makes the "
        f"page from the raw results in `docs/scenarios/raw/`. Model `{page.model}`, 16 rows a round, budget 64 "
        "units. "
        "Losses are prequential: of each row before any training on it, from round 1 on. Cost counts updates, "
        f"passes for signals, and all {_trials(raw)} trials of `search-hindsight`, which searches on the very "
        "stream it is judged on; intervals are over the versions of the stream.",
        "",
    ]
    for name in raws:
        record = tuning_record(name)
        lines.append(_tuned(name, record))
    lines += ["", f"Versions: {versions}."]
    return lines


def _trials(raw: Raw) -> int:
    """Of `search-hindsight`, as they were when it was measured."""
    given = {(entrant, setting): value for entrant, setting, value in raw.settings["settings"]}
    return int(given["search-hindsight", "trials"])


def _tuned(name: str, record: dict[str, Any] | None) -> str:
    if record is None:
        return f"- `{name}`: `fixed` is the constant that ships with the model, tuned on builtin training streams."
    told = ", ".join(f"{knob.replace('_', ' ')} {value:g}" for knob, value in record["settings"].items())
    return (
        f"- `{name}`: `fixed` ({told}) was tuned with {len(record['trials'])} trials, "
        f"{record['tuning_spent']:,.0f} units, on `{record['stream']}`, which shares no document with the streams "
        f"above; `base` is rate {record['base']['lr']:g}, batch size {record['base']['batch_size']}, window "
        f"{record['base']['window']}."
    )
