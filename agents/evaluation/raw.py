"""Results as they ship: every run of a part of the results page in one small file."""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from olrl.control.decision import Base

from ..rivals.tuned import tuning_spent
from .compare import CompareConfig, Outcome
from .example import Example, examples_of
from .jobs import Job
from .play import Trace
from .recovery import recovery_bytes, updated_share

FORMAT = 1
SUFFIX = ".json.gz"


@dataclass(frozen=True, kw_only=True)
class Raw:
    """What a page needs of one part.

    `rows` are the `runs` of results.json with five figures more: `total_spent` (cost units of the run with its
    signal passes, shadow learners and trials), `tuning_spent` (those of the tuning before it), `recovery_bytes`
    (mean bytes until recovery after a true change, None without any), `forgetting_bpb` (as in a `Trace`) and
    `updated_share` (of rounds, 0 to 1). `settings` is what was run; `facts` are numbers about the streams.
    """

    part: str
    settings: Mapping[str, Any]
    facts: Mapping[str, float]
    rows: Sequence[Mapping[str, Any]]
    examples: Sequence[Example]
    versions: Mapping[str, str]
    corpus_sha256: str | None


def raw_of(part: str, outcomes: Sequence[Outcome], *, facts: Mapping[str, float]) -> Raw:
    """All runs of several comparisons of the same streams as one part; example streams are of the first."""
    first = outcomes[0]
    settings = json.loads(json.dumps({**asdict(first.config), "base": asdict(first.base)}))
    settings.pop("processes")
    return Raw(
        part=part,
        settings={**settings, "policies": len(first.config.policies)},
        facts=facts,
        rows=[
            {**row, **_more(job, trace)}
            for outcome in outcomes
            for row, (job, trace) in zip(outcome.rows(), outcome.runs, strict=True)
        ],
        examples=examples_of(first),
        versions=first.versions,
        corpus_sha256=first.corpus_sha256,
    )


def renewed(old: Raw, new: Raw) -> Raw:
    """Results of which those of some entrants, all that `new` has, were measured again.

    ValueError where they are not of the same streams, bases, settings, package versions and corpus.
    """
    ours, theirs = _conditions(new), _conditions(old)
    differs = [name for name in ours if ours[name] != theirs.get(name)]
    if differs:
        told = ", ".join(f"{name} {theirs.get(name)!r} -> {ours[name]!r}" for name in differs)
        raise ValueError(f"{old.part} was measured otherwise ({told}): measure all of its entrants again")
    again = {row["controller"] for row in new.rows}
    place = {
        _group(row): i for i, row in reversed(list(enumerate(old.rows)))
    }  # tables keep the order of rows
    rows = [row for row in old.rows if row["controller"] not in again] + list(new.rows)
    rows.sort(key=lambda row: place.get(_group(row), len(old.rows)))
    fresh = {(one.stream, one.base_lr_mult): one.rounds for one in new.examples}
    examples = [
        replace(one, rounds={**one.rounds, **fresh.get((one.stream, one.base_lr_mult), {})})
        for one in old.examples
    ]
    settings = {**old.settings, "policies": new.settings["policies"]}
    return replace(old, settings=settings, rows=rows, examples=examples)


def _group(row: Mapping[str, Any]) -> tuple[str, float]:
    return row["controller"], row["base_lr_mult"]


def _conditions(raw: Raw) -> dict[str, Any]:
    """What decides a run, whatever is run; settings that have come since results were written had their default."""
    free = ("controllers", "policies", "settings", "processes")
    settings = {**_defaults(CompareConfig), **raw.settings}
    base = {**_defaults(Base), **raw.settings["base"]}
    return {
        **{name: settings[name] for name in settings if name not in free},
        "base": base,
        "versions": dict(raw.versions),
        "corpus": raw.corpus_sha256,
    }


def _defaults(settings: type) -> dict[str, Any]:
    """As they come back from JSON."""
    given = {field.name: field.default for field in fields(settings) if field.default is not MISSING}
    plain: dict[str, Any] = json.loads(json.dumps(given, default=str))
    return plain


def _more(job: Job, trace: Trace) -> dict[str, Any]:
    return {
        "total_spent": trace.total_cost,
        "tuning_spent": tuning_spent(job.entrant, model=job.model),
        "recovery_bytes": recovery_bytes(trace) if job.stream.kind != "none" else None,
        "forgetting_bpb": trace.forgetting_bpb,
        "updated_share": updated_share(trace),
    }


def write_raw(raw: Raw, folder: Path) -> Path:
    """Write `folder/PART.json.gz`; the same results give the same bytes. What a row does not have is null."""
    names = list(dict.fromkeys(name for row in raw.rows for name in row))
    content = {
        "format": FORMAT,
        "part": raw.part,
        "settings": raw.settings,
        "facts": raw.facts,
        "versions": raw.versions,
        "corpus_sha256": raw.corpus_sha256,
        "fields": names,
        "rows": [[row.get(name) for name in names] for row in raw.rows],
        "examples": [example.to_dict() for example in raw.examples],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{raw.part}{SUFFIX}"
    text = json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
    path.write_bytes(gzip.compress(text, mtime=0))
    return path


def read_raw(path: Path) -> Raw:
    """Read what `write_raw` wrote; ValueError for another format or a damaged file."""
    try:
        content = json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if content["format"] != FORMAT:
        raise ValueError(f"{path} has format {content['format']!r}: this version reads {FORMAT}")
    return Raw(
        part=content["part"],
        settings=content["settings"],
        facts=content["facts"],
        rows=[dict(zip(content["fields"], row, strict=True)) for row in content["rows"]],
        examples=[Example.from_dict(example) for example in content["examples"]],
        versions=content["versions"],
        corpus_sha256=content["corpus_sha256"],
    )
