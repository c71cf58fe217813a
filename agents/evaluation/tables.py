"""A comparison as tables: losses and cost, and differences with their intervals."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..rivals.entrant import PRIVILEGES
from .entrants import ENTRANTS

Entry = Mapping[str, Any]
Rows = list[list[str]]
LOSSES = "Prequential loss, bits per byte (lower is better), and cost units spent"
DIFFERENCES = "Difference of loss in per cent (interquartile mean, 95 % interval; negative is better)"
KINDS = "The same for each kind of drift"
SCORES = "Normalised score (95 % interval): 0 is fixed, 1 the best constant of every segment"


def loss_table(summary: Sequence[Entry], mults: Sequence[float]) -> tuple[list[str], Rows]:
    """Heads and rows: loss of each entrant, one column a base multiplier; mean cost of a run; runs lost.

    Where some bases were tried on fewer streams, the heads say on how many: such means are of other streams.
    """
    counts = {mult: _most_streams(summary, mult) for mult in mults}
    uneven = len(set(counts.values())) > 1
    columns = [f"base lr x{mult:g}" + (f" ({counts[mult]} streams)" if uneven else "") for mult in mults]
    heads = ["controller", *columns, "spent", "diverged"]
    rows: Rows = []
    for name in dict.fromkeys(entry["controller"] for entry in summary):
        mine = [entry for entry in summary if entry["controller"] == name]
        losses = {entry["base_lr_mult"]: f"{entry['loss_bpb']:.4f}" for entry in mine}
        cells = [losses.get(mult, losses.get(None, "")) for mult in mults]
        spent = sum(entry["spent"] for entry in mine) / len(mine)
        rows.append([name, *cells, f"{spent:,.0f}", str(sum(entry["diverged"] for entry in mine))])
    return heads, rows


def _most_streams(summary: Sequence[Entry], mult: float) -> int:
    """Streams that entrants ran on from this base; of those that use none, where there is no other."""
    counts: list[int] = [entry["streams"] for entry in summary if entry["base_lr_mult"] == mult]
    everywhere: list[int] = [entry["streams"] for entry in summary]
    return max(counts or everywhere)


def difference_table(summary: Sequence[Entry]) -> tuple[list[str], Rows]:
    """Heads and rows: each entrant's difference to its rival over all streams."""
    rows = [
        [
            label(entry),
            entry["against"]["controller"],
            with_interval(entry["against"]["iqm_percent"], "+.2f"),
            with_interval(entry["against"]["improvement"], ".0%"),
            f"{entry['against']['worst_percent']:+.1f}",
        ]
        for entry in _compared(summary)
    ]
    return ["controller", "against", "difference, %", "better on", "worst 5 %"], rows


def kind_table(summary: Sequence[Entry]) -> tuple[list[str], Rows]:
    """Heads and rows: the difference for each kind of drift; no rows where there is but one."""
    kinds = list(dict.fromkeys(kind for entry in summary for kind in entry["kinds"]))
    rows = [
        [
            label(entry),
            *(with_interval(entry["kinds"].get(kind, {}).get("iqm_percent"), "+.2f") for kind in kinds),
        ]
        for entry in _compared(summary)
    ]
    return ["controller", *kinds], rows if len(kinds) > 1 else []


def _compared(summary: Sequence[Entry]) -> list[Entry]:
    """Entries that have a rival other than themselves."""
    return [
        entry
        for entry in summary
        if entry["against"] is not None and entry["against"]["controller"] != entry["controller"]
    ]


def score_table(summary: Sequence[Entry]) -> tuple[list[str], Rows]:
    """Heads and rows: normalised score of each entrant for each kind of drift that has one."""
    scored = [kind for entry in summary for kind, of in entry["kinds"].items() if of["score"] is not None]
    kinds = list(dict.fromkeys(scored))
    rows = [
        [label(entry), *(with_interval(entry["kinds"].get(kind, {}).get("score"), "+.2f") for kind in kinds)]
        for entry in summary
    ]
    return ["controller", *kinds], rows if kinds else []


def privileges_told(names: Iterable[str]) -> list[str]:
    """A line for each privilege that some of these entrants take.

    >>> privileges_told(["base", "wsd", "cosine"])
    ['- *horizon* (knows how many rounds there will be): `wsd`, `cosine`']
    """
    known = [ENTRANTS[name] for name in dict.fromkeys(names) if name in ENTRANTS]
    takers = {
        privilege: [f"`{entrant.name}`" for entrant in known if privilege in entrant.privileges]
        for privilege in PRIVILEGES
    }
    return [f"- *{name}* ({PRIVILEGES[name]}): {', '.join(of)}" for name, of in takers.items() if of]


def label(entry: Entry) -> str:
    """An entrant's name with its base multiplier, where that is not 1.

    >>> label({"controller": "base", "base_lr_mult": 8.0}), label({"controller": "never", "base_lr_mult": None})
    ('base ×8', 'never')
    """
    mult = entry["base_lr_mult"]
    uses = entry["controller"] not in ENTRANTS or ENTRANTS[entry["controller"]].uses_base
    return f"{entry['controller']} ×{mult:g}" if uses and mult not in (None, 1.0) else entry["controller"]


def with_interval(found: Mapping[str, Any] | None, form: str) -> str:
    """An estimate with its interval.

    >>> with_interval({"value": -1.234, "low": -2.0, "high": 0.5}, "+.1f")
    '-1.2 [-2.0, +0.5]'
    """
    if found is None:
        return ""
    if found["low"] is None:
        return f"{found['value']:{form}}"
    return f"{found['value']:{form}} [{found['low']:{form}}, {found['high']:{form}}]"


def markdown(heads: Sequence[str], rows: Rows) -> list[str]:
    """Lines of a Markdown table, nothing for one without rows; the first column is to the left."""
    if not rows:
        return []
    return [
        "| " + " | ".join(heads) + " |",
        "|---|" + "---:|" * (len(heads) - 1),
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
    ]
