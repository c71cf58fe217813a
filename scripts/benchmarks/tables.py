"""A result as Markdown tables, for docs/benchmarks.md."""

from typing import Any


def markdown(result: dict[str, Any]) -> str:
    """Every section as tables, with the machine it was measured on."""
    machine = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    trees = result["trees"]
    lines = [f"Median and best of {result['repeats']} runs. {machine}."]
    for section, parts in result["sections"].items():
        lines += ["", f"## {section}"]
        for part, told in parts.items():
            lines += ["", f"### {part}", *_table(told, trees)]
    return "\n".join(lines) + "\n"


def _table(told: dict[str, Any], trees: list[str]) -> list[str]:
    lines = [
        f"{tree}: {kind}, {said[tree]}"
        for kind in ("absent", "failed")
        for said in [told.get(kind, {})]
        for tree in said
    ]
    if not told["figures"]:
        return lines
    columns = [f"{tree}, {of}" for tree in trees for of in ("median", "best")]
    ratios = ["ratio", "ratio_of_best"] if len(trees) == 2 else []
    head = ["", "unit", *columns, *(name.replace("_", " ") for name in ratios)]
    rows = [head, ["---"] * len(head)]
    for name, figure in told["figures"].items():
        values = [_number(figure.get(tree, {}).get(of)) for tree in trees for of in ("median", "best")]
        rows.append([name, figure["unit"], *values, *(_number(figure.get(ratio)) for ratio in ratios)])
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows)]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
