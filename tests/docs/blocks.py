"""The blocks of code in the documentation."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHELL = ("sh", "bash")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, by the page's path from the root and its first line."""

    page: str
    line: int
    language: str
    text: str


def pages() -> list[str]:
    """Every page, by its path from the root."""
    return ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]


def blocks(page: str) -> list[Block]:
    """The blocks of a page, in their order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.finditer(r"^```(\w*)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return [Block(page, text[: match.start()].count("\n") + 2, match[1], match[2]) for match in found]


def commands(page: str) -> list[str]:
    """The lines of a page's blocks of shell, joined where they end in a backslash, without comments."""
    lines = []
    for block in blocks(page):
        if block.language in SHELL:
            joined = re.sub(r"\\\n\s*", "", block.text).splitlines()
            lines += [shlex.join(words) for line in joined if (words := _words(line))]
    return lines


def _words(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, "#"
    return list(lexer)
