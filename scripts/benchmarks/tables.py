"""A result as Markdown tables, for docs/benchmarks.md."""

from typing import Any


def markdown(result: dict[str, Any]) -> str:
    """Every section as tables, with the machine it was measured on."""
    machine = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    trees = result["trees"]
    lines = [f"Medians of {result['repeats']} runs, wall time. {machine}."]
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
    two = len(trees) == 2
    head = ["", "unit", *trees, *(["ratio"] if two else [])]
    rows = [head, ["---"] * len(head)]
    for name, figure in told["figures"].items():
        values = [_number(figure[tree]["median"]) if tree in figure else "" for tree in trees]
        rows.append([name, figure["unit"], *values, *([_number(figure.get("ratio"))] if two else [])])
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows)]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
