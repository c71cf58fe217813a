"""Files that somebody else wrote: what they are refused with, and what they must not do."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from olrl.cli import execute
from olrl.run_folder import RunFolder
from olrl.streams.dead_letter import DeadLetter
from olrl.streams.flood import GivenUp
from olrl.streams.readers import Reader, ReaderConfig
from tests.deployed import quick, untrained_policy, write_stream

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from fuzzing.damage import malicious_zip


@pytest.fixture
def touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that the pickles below would make."""
    monkeypatch.chdir(tmp_path)
    write_stream(tmp_path / "mail.jsonl")
    yield tmp_path / "touched"
    assert not (tmp_path / "touched").exists()


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    code = execute(arguments)
    said = capsys.readouterr()
    assert code == 2
    assert said.err.startswith("olrl: ")
    assert said.err.count("\n") == 1
    return said.err


def test_the_zip_of_these_tests_does_harm_when_it_is_loaded(touched: Path) -> None:
    import io
    import pickle
    import zipfile

    with zipfile.ZipFile(io.BytesIO(malicious_zip(touched))) as archive:
        pickle.loads(archive.read("policy.pth"))
    assert touched.exists()
    touched.unlink()


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--stream", "mail.jsonl", "--controller", "policy", "--policy", "evil.zip"],
        ["decide", "--base-lr", "1e-3", "--policy", "evil.zip"],
        ["decide", "--base-lr", "1e-3", "--state", "evil.zip"],
        ["inspect", "evil.zip"],
        ["export", "evil.zip"],
        ["report", "evil.zip"],
        ["train", "--resume", "--out", "evil.zip"],
        ["run", "--stream", "mail.jsonl", "--base-lr", "1e-3", "--model", "./evil.zip"],
        ["compare", "--controllers", "policy", "--policy", "evil.zip", "--streams", "1", "--rounds", "1"],
    ],
)
def test_a_zip_with_a_pickle_is_refused_unread(
    arguments: list[str], touched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("evil.zip").write_bytes(malicious_zip(touched))
    assert "evil.zip" in refused(arguments, capsys)


@pytest.mark.parametrize("place", ["checkpoints/00000000", "checkpoints/00000000/manifest.json"])
def test_so_is_one_in_the_place_of_a_training_checkpoint(
    place: str, touched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import asdict

    from olrl.agents.ppo.recipe import recipe

    config = {"command": "train", "profile": "quick", "seed": 0, "recipe": asdict(recipe("quick"))}
    RunFolder.create(Path("run")).write_config(config)
    (Path("run") / place).parent.mkdir(parents=True)
    (Path("run") / place).write_bytes(malicious_zip(touched))
    assert "checkpoints/00000000 is damaged" in refused(["export", "run"], capsys)


def test_a_checkpoint_cuts_no_file_outside_of_its_run(tmp_path: Path) -> None:
    from olrl.checkpoint import Checkpoint, cut_back
    from olrl.run_state import go_back

    mine = tmp_path / "mine"
    mine.write_text("precious")
    run = tmp_path / "run"
    run.mkdir()
    (run / "decisions.jsonl").symlink_to(mine)
    with pytest.raises(ValueError, match="is a link"):
        cut_back(run / "decisions.jsonl", 2)
    evil = Checkpoint(number=0, folder=run, state={"tracker": {"files": {"../mine": 2}}})
    with pytest.raises(ValueError, match="outside of its run"):
        go_back(RunFolder(run), evil)
    assert mine.read_text() == "precious"


def test_the_card_of_a_policy_does_not_command_the_terminal(
    touched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (untrained_policy(Path("policy")) / "CARD.md").write_bytes(b"# A card\n\x1b]0;title\x07\x1b[2J\tfine\n")
    assert execute(["inspect", "policy"]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "\\x1b[2J\tfine" in said


@pytest.mark.parametrize("name", ["policy.json", "policy.safetensors", "CARD.md"])
def test_a_policy_with_a_pipe_or_a_device_for_a_file_is_refused_at_once(
    name: str, touched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
        path = untrained_policy(Path("policy")) / name
        path.unlink()
        make(path)
        assert "policy" in refused(["inspect", "policy"], capsys)
        path.unlink()


# --- streams


class Endless:
    """A producer of nothing but this."""

    def __init__(self, block: bytes) -> None:
        self.block = block

    def read1(self, size: int = -1, /) -> bytes:
        return self.block


@pytest.mark.parametrize(
    ("block", "told"),
    [
        (b"\xff\n" * 1000, "500 lines (500 bytes) in a row could not be used (500 invalid UTF-8)"),
        (b"\n" * 1000, "500 lines (0 bytes) in a row could not be used (500 blank)"),
        (b'{"text": "stuck"}\n' * 1000, "500 duplicate"),
        (b"x" * 50_000, "1 line (4,200,000 bytes) in a row could not be used (1 too long)"),
    ],
)
def test_a_flood_of_rubbish_ends_with_a_sentence(block: bytes, told: str) -> None:
    config = ReaderConfig(give_up_lines=500, give_up_bytes=1 << 22)
    with pytest.raises(GivenUp) as given_up:
        for _ in Reader(dead_letter=DeadLetter(None), config=config).stream(Endless(block)):
            pass
    assert told in str(given_up.value)


def test_a_usable_text_now_and_then_is_no_flood(tmp_path: Path) -> None:
    rows = [b"rubbish"] * 400 + [b'{"text": "one"}'] + [b"rubbish"] * 400 + [b'{"text": "two"}']
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join(rows) + b"\n")
    config = ReaderConfig(give_up_lines=500)
    read = [each.text for each in Reader(dead_letter=DeadLetter(None), config=config).file(path)]
    assert read == ["one", "two"]


def test_a_run_whose_stream_turns_to_rubbish_keeps_what_it_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from olrl.run import run

    path = write_stream(tmp_path / "mail.jsonl")
    path.write_bytes(path.read_bytes() + b"rubbish\n" * 600)
    monkeypatch.setattr(ReaderConfig.__init__, "__kwdefaults__", {**_defaults(), "give_up_lines": 500})
    result = run(quick(path, out=tmp_path / "run"))
    assert result.records.ended is not None
    assert result.records.ended.startswith("its stream was given up: 500 lines")
    assert result.model_saved
    assert len(result.records) > 3


def _defaults() -> dict[str, object]:
    found: dict[str, object] = dict(ReaderConfig.__init__.__kwdefaults__ or {})
    return found


def test_an_over_long_line_that_begins_blank_is_counted_and_not_skipped(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b" " * 2000 + b'{"text": "late"}\n{"text": "good"}\n')
    dead_letter = DeadLetter(None)
    reader = Reader(dead_letter=dead_letter, config=ReaderConfig(max_line_bytes=1000))
    assert [each.text for each in reader.file(path)] == ["good"]
    assert dict(dead_letter.counts) == {"too long": 1}


def test_folders_deeper_than_the_interpreters_stack_are_read(tmp_path: Path) -> None:
    depth = sys.getrecursionlimit() + 100
    here = os.getcwd()
    try:
        os.chdir(tmp_path)
        for _ in range(depth):
            os.mkdir("d")
            os.chdir("d")
    finally:
        os.chdir(here)
    (tmp_path / "z.jsonl").write_bytes(b'{"text": "good"}\n')
    try:
        read = [each.text for each in Reader(dead_letter=DeadLetter(None)).folder(tmp_path)]
    finally:
        os.system(f"rm -rf {tmp_path}/d")  # deeper than Python removes
    assert read == ["good"]


def test_a_file_whose_name_is_no_utf8_is_read_and_told(tmp_path: Path) -> None:
    from olrl.run import run
    from olrl.run_folder import read_json_lines

    folder = tmp_path / "mail"
    folder.mkdir()
    write_stream(folder / os.fsdecode(b"caf\xe9.jsonl"))
    result = run(quick(folder, out=tmp_path / "run", rounds=2))
    assert read_json_lines(result.folder.stream)[0]["source"] == "caf\\udce9.jsonl"
    named = run(quick(folder / os.fsdecode(b"caf\xe9.jsonl"), out=tmp_path / "named", rounds=2))
    assert named.folder.report.is_file()
