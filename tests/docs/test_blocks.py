"""Every block of code in docs/ and in the README is run, or stands here with the reason why not."""

import argparse
import re
import runpy
import shlex
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from olrl.agents.ppo import recipe
from olrl.agents.ppo.tiny import TINY
from olrl.cli import app, execute
from olrl.control.policy import load_policy
from olrl.models.load import load_model
from tests.deployed import write_stream
from tests.docs.blocks import ROOT, SHELL, blocks, commands, pages
from tests.run_folders import make_run, row
from tests.test_run_labels import write as write_labelled
from tests.train_folders import make_training

# Pages whose blocks are run by a test of their own.
ELSEWHERE = {
    "docs/adapters.md": "tests/adapters/test_docs.py",
    "docs/decide.md": "tests/test_decide.py",
    "docs/search.md": "tests/agents/search/test_docs.py",
}
# What is made smaller here, and how: options that are added, of which the last one counts.
SHORTENED = {
    r"olrl compare --stream": "--rounds 4 --model pico",
    r"olrl compare .*--policy": "--streams 1 --rounds 4 --model femto",
    r"olrl search .*--task": "--rounds 5 --trials 2 --chunk 8 --model pico",
    r"olrl run .*--model mini": "--rounds 4",
    r"olrl run .*--dp-": "--rounds 5",
    r"olrl run .*--task": "--chunk 8",
}
# Commands that are only parsed here, options and all, and why.
PARSED = {
    r"olrl .*--engine ray": "takes long to start: tests/agents/test_ray_workers.py does it",
    r"olrl compare --suite scenarios": "needs data that scripts/fetch_scenarios.py fetches",
    r"olrl .*(runs/first|runs/second)": "takes two minutes: tests/agents/features/test_select.py does it",
    r"olrl train .*--resume": "of a training that was stopped: tests/agents/test_resume.py does it",
    r"olrl dashboard": "serves until it is stopped: tests/dashboard starts it",
    r"olrl run .*smollm2": "needs a model that is downloaded",
}
# Other commands, and why they are not run.
OTHERS = {
    r"scripts/test": "CI runs it",
    r"scripts/demo": "takes minutes, and no test runs it whole; that the program is there is checked",
    r"tensorboard --logdir \S+": "serves until it is stopped: tests/test_tensorboard_in_browser.py starts it",
    r"python scripts/\S+\.py.*": "takes long; its options are parsed",
    r"pip install .*": "changes the installation; whether the extra is there is checked",
    r"python3 -m venv .*": "scripts/setup does it, and CI runs that",
    r"(accelerate launch|torchrun) .*": "on GPUs; tests/test_several.py launches both on CPUs; options are parsed",
    r"cat .* mine\.txt": "makes a file, as the test does",
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with streams of one's own; training, whatever its profile, takes seconds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recipe, "PROFILES", dict.fromkeys(recipe.PROFILES, TINY))
    for name in ("mail.jsonl", "news.jsonl"):
        write_stream(tmp_path / name)
    shutil.copy(ROOT / "docs" / "guard.md", tmp_path / "mine.txt")
    (tmp_path / "mine.txt").write_text(
        (tmp_path / "mine.txt").read_text(encoding="utf-8")[:3000], encoding="utf-8"
    )
    return tmp_path


def prepare(page: str, folder: Path) -> None:
    """The runs, streams and models that a page does not make itself."""
    own = load_policy("default")
    if page in ("docs/deploy.md", "docs/labels.md"):
        load_model("nano").save(folder / "path" / "to" / "model")
    if page == "docs/labels.md":
        for name in ("tickets.jsonl", "faq.jsonl"):
            write_labelled(folder / name)
    if page == "docs/judge.md":
        for seed, name in enumerate(("a", "b")):
            other = replace(own, training={**own.training, "seed": seed})
            other.save(folder / "runs" / name / "policy")
    if page in ("docs/first-steps.md", "docs/train.md"):  # these train
        return
    for name in ("mine", "base"):
        make_run(folder / "runs" / name, [row(k, 3.0) for k in range(5)])
    own.save(folder / "runs" / "mine" / "policy")
    if page == "docs/tensorboard.md":
        make_training(folder / "runs" / "train")


def reason(command: str, known: dict[str, str]) -> str | None:
    """What a table says of a command: the value of the first pattern that it begins with."""
    return next((why for pattern, why in known.items() if re.match(pattern, command)), None)


@pytest.mark.parametrize("page", [page for page in pages() if page not in ELSEWHERE])
def test_the_python_of_a_page_runs_in_its_order(
    page: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = [block for block in blocks(page) if block.language == "python"]
    if written and "runs/" in "".join(block.text for block in written):
        prepare(page, here)
    names: dict[str, Any] = {"__name__": "example"}
    for block in written:
        exec(compile("\n" * (block.line - 1) + block.text, page, "exec"), names)


@pytest.mark.parametrize("page", [page for page in pages() if page not in ELSEWHERE and commands(page)])
def test_the_commands_of_a_page_run_in_their_order(
    page: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(page, here)
    for command in commands(page):
        words = shlex.split(command)
        if words[0] != "olrl":
            assert reason(command, OTHERS), f"{page}: {command}"
            check_exists(words)
            if "olrl" in words:  # python -m olrl, started by a launcher
                check_options(words[words.index("olrl") + 1 :])
        elif reason(command, PARSED) or "…" in command:
            check_options(words[1:])
        else:
            words += (reason(command, SHORTENED) or "").split()
            assert execute(words[1:]) == 0, f"{page}: {command}: {capsys.readouterr().err}"


def test_commands_that_a_page_only_shows_know_their_options() -> None:
    shown = [
        line
        for page in pages()
        for block in blocks(page)
        if block.language == "text"
        for line in block.text.splitlines()
        if line.strip().startswith("olrl ")
    ]
    assert shown
    for line in shown:
        check_options(shlex.split(line)[1:])


def check_options(words: list[str]) -> None:
    """A mistake of spelling is an error, whatever a page leaves out."""
    group: Any = get_command(app)
    with group.make_context("olrl", words[:1], resilient_parsing=True) as context:
        command = group.get_command(context, words[0])
        command.make_context(words[0], words[1:], parent=context).close()


class _Parsed(Exception):
    """A program has understood its options, and is to do no more."""


def scripts_in_docs() -> dict[str, set[str]]:
    """How pages call programs of scripts/, in blocks and sentences, by program; the log tells of old ones."""
    called: dict[str, set[str]] = {}
    for page in pages():
        if page == "docs/LOG.md":
            continue
        text = (ROOT / page).read_text(encoding="utf-8")
        quoted = re.findall(r"`(python scripts/[^`]*)`", text)
        for command in (*commands(page), *quoted):
            if command.startswith("python scripts/"):
                called.setdefault(command.split()[1], set()).add(" ".join(command.split()[2:]))
    return called


@pytest.mark.parametrize("program", scripts_in_docs())
def test_a_program_of_scripts_knows_the_options_that_pages_give_it(
    program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(parser: argparse.ArgumentParser) -> None:
        parse(parser)
        raise _Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))  # as when it is called by its path
    for options in sorted(scripts_in_docs()[program]):
        monkeypatch.setattr("sys.argv", [program, *shlex.split(options)])
        try:
            runpy.run_path(str(ROOT / program), run_name="__main__")
        except _Parsed:
            continue
        except SystemExit:
            pytest.fail(f"{program} {options}: {capsys.readouterr().err}")
        pytest.fail(f"{program} reads no options")


def check_exists(words: list[str]) -> None:
    """Programs and extras that a page names are there."""
    for word in words:
        if word.startswith("scripts/"):
            assert (ROOT / word).is_file(), word
        if found := re.search(r"\[([\w,]+)\]", word):
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
            assert set(found[1].split(",")) <= set(extras), word


@pytest.mark.parametrize(("page", "test"), ELSEWHERE.items())
def test_a_page_that_is_run_elsewhere_is(page: str, test: str) -> None:
    assert Path(page).name in (ROOT / test).read_text(encoding="utf-8")


def test_a_block_says_what_it_is_written_in() -> None:
    known = {*SHELL, "python", "perl", "js", "diff", "json", "markdown", "text"}
    drawn = "docs/ARCHITECTURE.md"  # its pictures are of letters
    written = {block.language for page in pages() if page != drawn for block in blocks(page)}
    assert written <= known
