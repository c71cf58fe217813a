import errno
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from olrl.cli import ABOUT, GROUP, execute
from olrl.models.load import load_model
from olrl.run_config import RunConfig
from tests.deployed import untrained_policy, write_stream
from tests.run_folders import make_run, row

QUICK = ("--base-lr", "1e-3", "--chunk", "4", "--seq-len", "32", "--controller", "base")


@pytest.fixture(autouse=True)
def _in_a_folder_with_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_stream(tmp_path / "mail.jsonl")


def mistake(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The sentence a mistake is answered with, after the checks that all mistakes have in common."""
    code = execute(arguments)
    said = capsys.readouterr()
    assert code == 2
    assert said.out == ""
    assert said.err.startswith("olrl: ")
    assert said.err.count("\n") == 1
    assert not list(Path().glob("runs/*"))
    return said.err.removeprefix("olrl: ").strip()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--stream", "nothing.jsonl"], "no file or folder 'nothing.jsonl'"),
        (["--stream", "mial.jsonl"], "did you mean 'mail.jsonl'"),
        (["--stream", "builtin:nothing"], "there is no builtin stream 'nothing'"),
        (["--stream", ""], "stream is empty"),
        (["--rounds", "-3"], "rounds must be at least 1, not -3"),
        (["--rounds", "many"], "--rounds"),
        (["--chunk", "0"], "chunk must be at least 1, not 0"),
        (["--seq-len", "99999"], "seq_len 99999 is beyond the 512 positions"),
        (["--seed", "-1"], "seed must be at least 0"),
        (["--budget", "0"], "budget must be a positive number"),
        (["--price", "nan"], "price must be at least 0"),
        (["--base-lr", "-1"], "base lr must be a positive number"),
        (["--base-batch", "65"], "base batch size must be from 1 to 64"),
        (["--base-window", "5"], "base window must be one of 1, 2, 4, 8, 16, 32, 64 or 0"),
        (["--controller", "hypergradeint"], "did you mean hypergradient?"),
        (["--controller", "policy", "--policy", "nowhere"], "nowhere"),
        (["--policy", "default"], "policy 'default' has no effect with the controller 'base'"),
        (["--shadow"], "shadow has no effect with the controller 'base'"),
        (["--model", "./nowhere"], "there is no model folder './nowhere'"),
        (["--device", "abacus"], "device 'abacus' cannot be used here"),
        (["--follow", "--stream", "builtin:manual"], "--follow waits for a growing file"),
        (["--out", "mail.jsonl"], "mail.jsonl is a file"),
        (["--out", "."], "holds other files and is not overwritten"),
        (["--lora", "8"], "lora does not know '8'"),
    ],
)
def test_a_mistake_is_one_sentence(options: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert told in mistake(["run", "--stream", "mail.jsonl", *QUICK, *options], capsys)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run"], "--stream"),
        (["rum"], "Did you mean 'run'?"),
        (["--quiet"], "--quiet"),
        (["report", "nowhere"], "nowhere is not a folder"),
        (["report", "."], "has no config.json"),
        (["inspect", "nowhere"], "nowhere"),
        (["inspect"], "Missing argument"),
    ],
)
def test_so_is_one_outside_of_runs(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in mistake(arguments, capsys)


def test_a_model_folder_without_weights_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_model("nano").save(tmp_path / "empty")
    (tmp_path / "empty" / "model.safetensors").unlink()
    capsys.readouterr()
    assert "no weights" in mistake(["run", "--stream", "mail.jsonl", *QUICK, "--model", "empty"], capsys)


def test_a_model_without_a_base_asks_for_its_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_model("nano").save(tmp_path / "own")
    (tmp_path / "own" / "olrl.json").unlink()
    capsys.readouterr()
    assert "give --base-lr" in mistake(["run", "--stream", "mail.jsonl", "--model", "own"], capsys)


def test_a_damaged_policy_and_a_zip_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = untrained_policy(tmp_path / "policy") / "policy.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    run = ["run", "--stream", "mail.jsonl", "--base-lr", "1e-3", "--controller", "policy", "--policy"]
    assert "sha256" in mistake([*run, "policy"], capsys)
    with zipfile.ZipFile("ppo.zip", "w") as archive:
        archive.writestr("data", "cos\nsystem\n")
    assert "zip" in mistake([*run, "ppo.zip"], capsys)


def test_a_traceback_is_shown_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLRL_DEBUG", "1")
    with pytest.raises(ValueError, match="rounds"):
        execute(["run", "--stream", "mail.jsonl", "--rounds", "0"])


def test_a_fault_of_ours_is_not_dressed_up_as_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: RunConfig) -> None:
        raise AssertionError("a fault")

    monkeypatch.setattr(RunConfig, "__post_init__", broken)
    with pytest.raises(AssertionError, match="a fault"):
        execute(["run", "--stream", "mail.jsonl"])


def test_a_run_tells_what_came_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["run", "--stream", "mail.jsonl", *QUICK, "--rounds", "5", "--out", "run"]) == 0
    said = capsys.readouterr().out
    assert "all of its 5 rounds were run" in said
    assert "bits per byte, prequential, over 5 rounds" in said
    for path in ("report.md", "figures/loss_and_decisions.png", "model"):
        assert (Path("run") / path).exists()
        assert str(Path("run") / path) in said


def test_a_run_without_out_makes_a_folder_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert execute(["run", "--stream", "mail.jsonl", *QUICK, "--rounds", "1"]) == 0
    assert len({path.name for path in Path("runs").iterdir()}) == 2
    assert all("-run-base-mail" in path.name for path in Path("runs").iterdir())


def test_inspect_shows_the_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    untrained_policy(tmp_path / "trained" / "policy")
    for given in ("trained", "trained/policy"):
        assert execute(["inspect", given]) == 0
        assert "# Untrained" in capsys.readouterr().out


def test_report_is_made_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_run(tmp_path / "run", [row(0, 3.0), row(1, 3.0)])
    assert execute(["report", "run"]) == 0
    assert capsys.readouterr().out.split() == [
        str(Path("run") / name) for name in ("report.md", "report.html")
    ]
    assert folder.figure.is_file()


def test_help_names_every_command_and_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["--help"]) == 0
    listed = capsys.readouterr().out
    commands = {point.name for point in entry_points(group=GROUP)}
    assert commands <= set(ABOUT)
    assert all(f" {name} " in listed for name in {*commands, "run", "inspect", "report"})
    assert execute(["run", "--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"--{name.replace('_', '-')}" in told for name in RunConfig.__dataclass_fields__)


def test_without_a_command_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute([]) == 0
    assert "Usage: olrl" in capsys.readouterr().out


OLRL = shutil.which("olrl", path=str(Path(sys.executable).parent))


def test_deploying_imports_neither_gymnasium_nor_stable_baselines() -> None:
    code = (
        "import sys\nfrom olrl.cli import execute\n"
        f"code = execute(['run', '--stream', 'mail.jsonl', *{QUICK!r}, '--rounds', '2', '--out', 'run'])\n"
        "assert code == 0\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('gymnasium', 'stable_baselines3')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_console_script_takes_standard_input_and_a_mistake_has_no_traceback() -> None:
    assert OLRL is not None
    command = [OLRL, "run", "--stream", "-", *QUICK, "--out", "run"]
    stream = Path("mail.jsonl").read_text()
    done = subprocess.run(command, input=stream, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "the stream ended" in done.stdout
    again = subprocess.run(command, input="", capture_output=True, text=True, timeout=120)
    assert again.returncode == 2
    assert again.stderr.splitlines()[-1].startswith("olrl: --out run already holds a run")
    assert "Traceback" not in again.stderr


def test_ctrl_c_ends_a_run_that_follows_its_file_and_saves_the_model() -> None:
    assert OLRL is not None
    command = [OLRL, "run", "--stream", "mail.jsonl", "--follow", *QUICK, "--out", "run"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    decisions = Path("run") / "decisions.jsonl"
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if decisions.is_file() and decisions.read_text().count("\n") > 5:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "it was interrupted" in out
    assert "Traceback" not in err
    assert (Path("run") / "model" / "model.safetensors").is_file()


def test_ctrl_c_that_no_command_has_seen_to_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(config: RunConfig) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("olrl.run_command.run_and_tell", interrupted)
    assert execute(["run", "--stream", "mail.jsonl", *QUICK]) == 130
    assert capsys.readouterr().err.startswith("olrl: interrupted at once")


def test_a_full_disk_that_has_no_name_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(config: RunConfig) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("olrl.run_command.run_and_tell", full)
    assert "make room" in mistake(["run", "--stream", "mail.jsonl", *QUICK], capsys)


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=300,
    )


MODULE = f"{sys.executable} -m olrl"
RUN = f"{MODULE} run --stream mail.jsonl --model femto --rounds 2 --controller base"


def test_a_run_goes_on_where_nobody_reads_what_it_says() -> None:
    done = shell(
        f"({RUN} --out errors 2>&1 >/dev/null; echo $? > code) | true; ({RUN} --out told; echo $? >> code) | true"
    )
    assert Path("code").read_text().split() == ["0", "0"], done.stderr
    assert Path("errors/report.md").is_file()
    assert Path("told/report.md").is_file()


def test_closed_standard_streams_are_empty_ones() -> None:
    done = shell(f"{MODULE} decide --base-lr 1e-3 <&-")
    assert (done.returncode, done.stderr) == (0, "")
    done = shell(f"echo '{{}}' | {MODULE} decide --base-lr 1e-3 >&-")
    assert (done.returncode, done.stderr) == (0, "")
    done = shell(f"{MODULE} run --stream - --model femto --rounds 2 --out out <&-")
    assert done.returncode == 2
    assert "the stream ended after 0 tokens" in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_cannot_show_a_character_is_shown_its_number(encoding: str) -> None:
    done = shell(f"{MODULE} inspect default && {MODULE} compare --help", PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert "\\u2192" in done.stdout


def test_a_device_without_numbers_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    told = mistake(["run", "--stream", "mail.jsonl", "--model", "femto", "--device", "meta"], capsys)
    assert told.startswith("device 'meta' cannot be used here")


def test_a_folder_whose_name_is_not_utf_8_is_refused_before_the_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = mistake(["run", "--stream", "mail.jsonl", *QUICK, "--out", "bad\udcff"], capsys)
    assert "is not UTF-8" in told
