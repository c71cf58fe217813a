"""The results page: one section a part, made from the raw results that ship."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from olrl.analysis.style import save

from .beside_policy import beside_table
from .compute import compute_table
from .goals import goal_table
from .headline import PARTS
from .page_figures import figures_of
from .pairs import Row
from .priced import priced
from .raw import SUFFIX, Raw, read_raw
from .saving import saving_table
from .summary import FIXED, at_right_base, pairs_against, summarise
from .tables import (
    DIFFERENCES,
    KINDS,
    LOSSES,
    SCORES,
    difference_table,
    kind_table,
    loss_table,
    markdown,
    privileges_told,
    score_table,
)

WORST = 5
INTRO = """# Results

Entrants side by side: the same tokens, the same initial weights, draws keyed the same way, the same budget. The
loss is prequential: each chunk is scored before any training on it, in bits per byte, byte-weighted from round 1
on. How all of this is measured, and what the intervals mean: [judge.md](judge.md).

This page is made by `python scripts/results.py` from the raw results in `docs/results/`, in seconds. With
`--rerun` it measures them anew (`--part NAME` for one part); runs that were made already are kept, so that it can
be stopped and started again.
"""
ASKED = """The goals were set before there was a policy. Differences of loss in per cent, paired by stream,
interquartile mean and 95 % interval; negative: the policy's loss is lower. Reached is what the whole interval
reaches, unless said otherwise. Why it stands there, and what was tried: [what limits it](limits.md).
"""


def write_page(folder: Path) -> Path:
    """Make `folder/results.md` and its figures from all raw results in `folder/results`."""
    shipped = folder / "results"
    found = {path.name.removesuffix(SUFFIX): path for path in shipped.glob(f"*{SUFFIX}")}
    parts = [
        read_raw(found[name]) for name in [*PARTS, *sorted(found.keys() - PARTS.keys())] if name in found
    ]
    if not parts:
        raise ValueError(f"{shipped} holds no results: make some with --rerun")
    lines = [INTRO, *_asked(parts)]
    for raw in parts:
        lines += _section(raw, shipped)
    page = folder / "results.md"
    page.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return page


def _asked(parts: Sequence[Raw]) -> list[str]:
    heads, rows = goal_table({raw.part: raw for raw in parts})
    return ["## What was asked, and what is reached", "", ASKED, *markdown(heads, rows)] if rows else []


def _section(raw: Raw, shipped: Path) -> list[str]:
    summary = summarise(raw.rows)
    mults = sorted({row["base_lr_mult"] for row in raw.rows})
    lines = [f"## {PARTS[raw.part].about if raw.part in PARTS else raw.part}", "", *_what(raw)]
    for title, (heads, rows) in (
        (LOSSES, loss_table(summary, mults)),
        (DIFFERENCES, difference_table(summary)),
        (KINDS, kind_table(summary)),
        (PAIRED, beside_table(raw.rows)),
        (PRICED, _with_price(raw)),
        (SAVING, _saving(raw)),
        (SCORES, score_table(summary)),
        (COMPUTE, compute_table(at_right_base(raw.rows))),
        (BESIDE, _beside(raw.rows)),
        ("Where the policy loses most to `fixed`", _losses_of_ours(raw.rows)),
    ):
        lines += [f"{title}.", "", *markdown(heads, rows)] if rows else []
    privileges = privileges_told(row["controller"] for row in raw.rows)
    lines += ["Privileges that are declared.", "", *privileges, ""] if privileges else []
    for name, text, figure in figures_of(raw, summary):
        save(figure, shipped / f"{raw.part}-{name}.png", dpi=110)
        lines += [f"![{text}](results/{raw.part}-{name}.png)", ""]
    return lines


def _what(raw: Raw) -> list[str]:
    asked = raw.settings
    base, streams = asked["base"], {row["stream"] for row in raw.rows}
    with_policy = {row["policy_seed"] for row in raw.rows if row["controller"] == "policy"}
    n = len(with_policy)
    policies = f"{n} independently trained polic{'y' if n == 1 else 'ies'}, " if n else ""
    facts = [f"{name} {value:.0%}" for name, value in raw.facts.items()]
    return [
        f"Suite `{asked['suite']}`, model `{asked['model']}`, {len(streams)} {asked['split']} streams of "
        f"{max(row['rounds'] for row in raw.rows)} rounds, {policies}base rate {base['lr']:g}, batch size "
        f"{base['batch_size']}, window {base['window']}, price {asked['price']:g}"
        + "".join(f", {fact}" for fact in facts)
        + f". Corpus `{str(raw.corpus_sha256)[:12]}`, "
        + ", ".join(f"{name} {version}" for name, version in raw.versions.items())
        + f". Again: `python scripts/results.py --rerun --part {raw.part}`{_not_run(raw)}.",
        "",
    ]


def _not_run(raw: Raw) -> str:
    """Entrants that the command runs too, and that are not on the page."""
    ran = {row["controller"] for row in raw.rows}
    absent = [name for name in (PARTS[raw.part].entrants if raw.part in PARTS else ()) if name not in ran]
    return (
        f", which runs {', '.join(f'`{name}`' for name in absent)} too: not measured here" if absent else ""
    )


PRICED = "The same with the price: loss + price × share of the budget spent × loss of `fixed`"
PAIRED = (
    "The policy paired with each of the others, per cent of theirs (negative: the policy's loss is lower)"
)
BESIDE = (
    "What else there is to a run, at the right base (means; recovery in kB after a true change; at the end, the "
    "loss on other text of the domains that the stream has left, lower being less forgotten)"
)
COMPUTE = (
    "Loss and all that it took, in cost units: training, passes for signals, shadow learners, trials, and the "
    "tuning shared by these streams; what training a policy took comes before all of this, once. By total; `best "
    "for as much` has the lowest loss of all that cost no more"
)
SAVING = "What is saved, and the policy paired with each (negative: the policy's loss is lower)"


def _with_price(raw: Raw) -> tuple[list[str], list[list[str]]]:
    price = raw.settings["price"]
    rows = priced(raw.rows, price=price, budget=raw.settings["cost"]["budget"]) if price else []
    return difference_table(summarise(rows))


def _saving(raw: Raw) -> tuple[list[str], list[list[str]]]:
    groups = at_right_base(raw.rows) if raw.settings["price"] else {}
    return saving_table(groups, budget=raw.settings["cost"]["budget"])


def _beside(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    heads = [
        "controller",
        "tuning examples",
        "updates",
        "rounds updated",
        "recovery, kB",
        "left domains, bits",
        "seconds",
    ]
    told = []
    for name, members in at_right_base(rows).items():
        recovered, left = (
            [row[field] for row in members if row[field] is not None]
            for field in ("recovery_bytes", "forgetting_bpb")
        )
        told.append(
            [
                name,
                f"{members[0]['tuning_examples']:,}",
                f"{_mean(members, 'updates'):,.0f}",
                f"{_mean(members, 'updated_share'):.0%}",
                f"{np.mean(recovered) / 1000:.1f}" if recovered else "",
                f"{np.mean(left):.4f}" if left else "",
                f"{_mean(members, 'seconds'):.1f}",
            ]
        )
    return heads, told


def _losses_of_ours(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """The streams on which the policy does worst, mean over policies, at the right base."""
    groups = at_right_base(rows)
    heads = ["stream", "kind", "policy", FIXED, "difference, %"]
    pairs = pairs_against(groups["policy"], rows) if "policy" in groups else None
    if pairs is None:
        return heads, []
    mine, percent = pairs.loss.mean(axis=0), pairs.percent.mean(axis=0)
    worst = [int(k) for k in np.argsort(-percent, kind="stable")[:WORST] if percent[k] > 0]
    return heads, [
        [pairs.streams[k], pairs.kinds[k], f"{mine[k]:.4f}", f"{pairs.rival[k]:.4f}", f"{percent[k]:+.2f}"]
        for k in worst
    ]


def _mean(rows: Sequence[Row], field: str) -> float:
    return float(np.mean([row[field] for row in rows]))
