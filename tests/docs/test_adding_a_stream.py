"""Who follows docs/adding/stream.md to its end has a stream of the command line that passes the test of it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, Block, blocks

PAGE = "docs/adding/stream.md"
COPIED = ("olrl", "tests/streams")
SOURCES, TEST = "olrl/streams/sources.py", "tests/streams/test_resumed_sources.py"
OPENED = """
from olrl.streams.dead_letter import DeadLetter
from olrl.streams.sources import open_source

for settings in ({"source": "csv:none.csv"}, {"source": "csv:tickets.csv", "follow": True}):
    try:
        open_source(**settings, dead_letter=DeadLetter(None))
    except ValueError as error:
        print(error)
letters = DeadLetter(None)
print([document.text for document in open_source("csv:tickets.csv", dead_letter=letters)], dict(letters.counts))
"""


def changed(text: str, block: Block) -> str:
    """A file's text with the block's hunks put in; each has to fit in exactly one place."""
    for hunk in block.text.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] in " -")
        new = "".join(line[1:] for line in lines if line[0] in " +")
        assert text.count(old) == 1, f"{PAGE}:{block.line} does not fit: {old}"
        text = text.replace(old, new)
    return text


@pytest.fixture
def followed(tmp_path: Path) -> Path:
    """A copy of what the page speaks of, with its three steps done."""
    for name in COPIED:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    made = next(block for block in blocks(PAGE) if "class TableSource" in block.text)
    (tmp_path / "olrl/streams/tables.py").write_text(made.text, encoding="utf-8")
    for name, block in zip((SOURCES, TEST), (b for b in blocks(PAGE) if b.language == "diff"), strict=True):
        path = tmp_path / name
        path.write_text(changed(path.read_text(encoding="utf-8"), block), encoding="utf-8")
    return tmp_path


def said(folder: Path, *arguments: str) -> str:
    """What a Python says that finds the copy first."""
    own = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=own, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_stream_that_was_added_as_the_page_says_goes_on_where_it_was(followed: Path) -> None:
    told = said(
        followed, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", TEST, "-k", "table"
    )
    assert "\n1 passed" in told


def test_a_stream_that_was_added_as_the_page_says_refuses_and_counts(followed: Path) -> None:
    rows = b"queue,text\nprinters,Out of paper.\nmail,\n,\xff\nmail,No mail.\n"
    (followed / "tickets.csv").write_bytes(rows)
    missing, waiting, read = said(followed, "-c", OPENED).splitlines()
    assert missing == "there is no table 'none.csv'"
    assert waiting.startswith("--follow waits for a growing file")
    assert read == "['Out of paper.', 'No mail.'] {'empty': 1, 'lone surrogate': 1}"
