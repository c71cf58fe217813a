"""A run by two processes is the run of one: launched as people do, stopped, and gone on with."""

import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from olrl.cli import execute
from olrl.learners.ranks import Ranks
from olrl.run import run
from olrl.run_config import RunConfig
from olrl.run_folder import read_json_lines
from olrl.several import launched
from tests.deployed import quick, write_stream

BAD = (b"{", b'{"text": 7}')
ROUNDS = 6
ACCELERATE = [
    *("-m", "accelerate.commands.launch", "--num_processes", "2", "--num_machines", "1"),
    *("--mixed_precision", "no", "--dynamo_backend", "no", "--use_fsdp", "--fsdp_version", "2"),
]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ALONE = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def launch(
    launcher: list[str], words: list[str], *, stdin: bytes = b""
) -> "subprocess.CompletedProcess[bytes]":
    environment = {name: value for name, value in os.environ.items() if name not in ALONE}
    command = [sys.executable, *launcher, "-m", "olrl", "run", *words]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=580, env=environment)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return done


def options(config: RunConfig) -> list[str]:
    words = []
    for name, value in config.to_json().items():
        if value != RunConfig.__dataclass_fields__[name].default:
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return words


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """The policy that ships, on batches that two cannot share evenly; rows are rejected."""
    folder = tmp_path_factory.mktemp("several")
    stream = write_stream(folder / "mail.jsonl", bad=BAD)
    settings = {"controller": "policy", "model": "pico", "base_batch": 3, "checkpoint_every": 2}
    return quick(stream, **settings, rounds=ROUNDS, chunk=9, seq_len=16, out=folder / "two")


@pytest.fixture(scope="module")
def two(config: RunConfig) -> Path:
    """What two processes of `accelerate launch` leave."""
    assert config.out is not None
    told = launch(ACCELERATE, options(config))
    assert told.stdout.count(b"The run is over") == 1, "of two processes one talks"
    return config.out


def numbers(path: Path) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in row.items() if name != "loss_bpb"} for row in read_json_lines(path)
    ]


@pytest.mark.slow
def test_decisions_lines_and_weights_are_those_of_one_process(config: RunConfig, two: Path) -> None:
    alone = run(replace(config, out=two.with_name("one"))).folder
    assert numbers(two / "decisions.jsonl") == numbers(alone.decisions)
    losses = [[row["loss_bpb"] for row in read_json_lines(f / "decisions.jsonl")] for f in (two, alone.path)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert (two / "stream.jsonl").read_bytes() == alone.stream.read_bytes()
    assert len(read_json_lines(two / "dead_letter.jsonl")) == len(BAD)
    mine, theirs = (load_file(folder / "model" / "model.safetensors") for folder in (two, alone.path))
    assert mine.keys() == theirs.keys()
    for name, weights in mine.items():
        assert weights.numpy() == pytest.approx(theirs[name].numpy(), rel=1e-2, abs=2e-4), name
    assert json.loads((two / "config.json").read_text())["processes"] == 2


@pytest.mark.slow
def test_standard_input_is_read_by_one_and_a_stopped_run_goes_on_to_the_same_bits(
    config: RunConfig, two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = two.with_name("resumed")
    piped = replace(config, stream="-", spool=True, out=out)
    content = Path(config.stream).read_bytes()
    launch(TORCHRUN, options(replace(piped, rounds=3)), stdin=content)
    settings = json.loads((out / "config.json").read_text())
    settings["run"]["rounds"] = ROUNDS
    (out / "config.json").write_text(json.dumps(settings))
    shutil.copytree(out, two.with_name("alone"))
    launch(TORCHRUN, ["--resume", "--out", str(out)])
    assert (out / "decisions.jsonl").read_bytes() == (two / "decisions.jsonl").read_bytes()
    for name in ("model.safetensors", "config.json"):
        assert (out / "model" / name).read_bytes() == (two / "model" / name).read_bytes()

    # And by another number of processes, to rounding.
    told: list[str] = []
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    alone = run(replace(piped, out=two.with_name("alone"), resume=True), say=told.append).folder
    assert numbers(alone.decisions) == numbers(two / "decisions.jsonl")
    assert any("processes is 1 and was 2" in sentence for sentence in told)


def _as_one_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in there.items():
        monkeypatch.setenv(name, value)


def test_a_launcher_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ALONE:
        monkeypatch.delenv(name, raising=False)
    assert launched() == Ranks()
    monkeypatch.setenv("WORLD_SIZE", "4")  # some other program's
    assert launched() == Ranks()
    _as_one_of_two(monkeypatch)
    assert launched() == Ranks(rank=0, size=2)


@pytest.mark.parametrize(
    ("words", "environment", "told"),
    [
        (["--dp-noise", "1"], {}, "differential privacy is for one process"),
        (["--dtype", "bfloat16"], {}, "dtype bfloat16 is for one process: leave the launcher out, or it"),
        (["--device", "cuda:1"], {}, "names one device"),
        (["--device", "mps"], {}, "names one device"),
        ([], {"ACCELERATE_MIXED_PRECISION": "bf16"}, "--mixed_precision bf16 has no effect"),
        ([], {"FSDP_OFFLOAD_PARAMS": "true"}, "--fsdp_offload_params true has no effect"),
    ],
)
def test_what_several_processes_do_not_do_is_refused_before_they_meet(
    words: list[str],
    environment: dict[str, str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _as_one_of_two(monkeypatch)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    private = ["--controller", "base"] if "--dp-noise" in words else []
    assert execute(["run", "--stream", "builtin:drift", *private, *words]) == 2
    assert told in capsys.readouterr().err
