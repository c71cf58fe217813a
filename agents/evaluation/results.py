"""results.json, and whether two results are of the same text."""

import json
from pathlib import Path

from .compare import Outcome
from .summary import summarise


def write_results(outcome: Outcome, path: Path) -> None:
    """results.json: every run, their summary, versions and the corpus the streams came from."""
    rows = outcome.rows()
    results = {
        "runs": rows,
        "summary": summarise(rows),
        "versions": outcome.versions,
        "corpus_sha256": outcome.corpus_sha256,
    }
    path.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def corpus_warning(theirs: str | None, ours: str | None) -> str | None:
    """What to say when results and this installation are of other builtin text; None when all is well.

    >>> corpus_warning("0123456789", "0123456789") is None
    True
    """
    if theirs == ours:
        return None
    told = [("none" if sha is None else sha[:8]) for sha in (theirs, ours)]
    return (
        f"Warning: these results are of another builtin corpus ({told[0]}) than this installation's ({told[1]}): "
        "other versions of the packages it is read from. Losses of the two are not comparable."
    )
