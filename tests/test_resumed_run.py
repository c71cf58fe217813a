"""A run that ended by whatever means and was gone on with is the run that did not."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from olrl.checkpoint import Checkpoints
from olrl.cli import execute
from olrl.folder_lock import FolderLock
from olrl.learners.poisson import PoissonSampling
from olrl.loop import RoundRecord
from olrl.run import run
from olrl.run_config import RunConfig, settings_in
from olrl.run_folder import JsonLines, RunFolder
from tests.deployed import quick, untrained_policy, write_stream

BAD = (b"{", b'{"text": 7}', b"{", b'{"text": ""}')


class Killed(BaseException):
    """Nobody handles it: from a file's point of view it is a kill."""


def killed_after(round_: int) -> Callable[[RoundRecord], None]:
    def act(record: RoundRecord) -> None:
        if record.round == round_:
            raise Killed

    return act


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    """Every knob moves, rows are rejected, and a checkpoint is made every three rounds."""
    policy = str(untrained_policy(tmp_path / "policy"))
    stream = write_stream(tmp_path / "mail.jsonl", bad=BAD)
    settings = {"controller": "policy", "policy": policy, "model": "pico", "checkpoint_every": 3}
    return quick(stream, **settings, out=tmp_path / "straight")


def to(config: RunConfig, out: Path, **changed: Any) -> RunConfig:
    return RunConfig(**{**config.to_json(), "out": out, **changed})


def kills(command: str, *options: str, folder: Path) -> dict[str, Any]:
    program = Path(__file__).parents[1] / "scripts" / "kill_test.py"
    out = folder / "result.json"
    arguments = [str(program), command, *options, "--out", str(out), "--scratch", str(folder / "scratch")]
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(out.read_text())
    return result


@pytest.mark.slow
def test_sigkills_at_random_moments_change_no_bit_of_a_run(tmp_path: Path) -> None:
    kinds = ("folder", "standard input", "followed file")
    result = kills(
        "run", "--kills", "6", "--per-run", "2", "--rounds", "12", "--kinds", *kinds, folder=tmp_path
    )
    assert (result["kills"], result["different"]) == (6, 0)


@pytest.mark.parametrize("round_", [0, 2, 3, 7])
def test_a_run_killed_within_any_stretch_goes_on_to_the_same_bytes(
    config: RunConfig, tmp_path: Path, round_: int
) -> None:
    straight = run(config).folder
    with pytest.raises(Killed):
        run(to(config, tmp_path / "killed"), on_round=killed_after(round_))
    told: list[str] = []
    resumed = run(RunConfig(**settings_in(tmp_path / "killed")), say=told.append)
    expected = "begins anew" if round_ < 3 else f"resumed after {3 * (round_ // 3)} rounds"
    assert expected in told[0]
    for name in ("decisions", "stream"):
        assert getattr(resumed.folder, name).read_bytes() == getattr(straight, name).read_bytes()
    models = [folder.model / "model.safetensors" for folder in (resumed.folder, straight)]
    assert models[0].read_bytes() == models[1].read_bytes()
    assert resumed.summary.dead_letters == {"empty": 1, "invalid JSON": 2, "not text": 1}
    assert resumed.folder.dead_letter.read_bytes().count(b"\n") == 4


@pytest.mark.parametrize("optimizer", ["von", "vadam"])
def test_a_run_with_a_posterior_goes_on_to_the_same_bytes(tmp_path: Path, optimizer: str) -> None:
    """Its precision, its draws and what it predicts by."""
    stream = write_stream(tmp_path / "mail.jsonl")
    asked = {"optimizer": optimizer, "draws": 2, "model": "femto", "checkpoint_every": 2, "rounds": 6}
    config = quick(stream, **asked, out=tmp_path / "straight")
    straight = run(config).folder
    with pytest.raises(Killed):
        run(to(config, tmp_path / "killed"), on_round=killed_after(3))
    resumed = run(RunConfig(**settings_in(tmp_path / "killed"))).folder
    assert resumed.decisions.read_bytes() == straight.decisions.read_bytes()
    models = [folder.model / "model.safetensors" for folder in (resumed, straight)]
    assert models[0].read_bytes() == models[1].read_bytes()


@pytest.mark.parametrize("lora", [None, "r=2"])
def test_a_run_in_bfloat16_goes_on_to_the_same_bytes(tmp_path: Path, lora: str | None) -> None:
    """Weights and moments are bfloat16, adapters and theirs float32."""
    stream = write_stream(tmp_path / "mail.jsonl")
    asked = {"dtype": "bfloat16", "lora": lora, "model": "pico", "checkpoint_every": 2, "rounds": 4}
    config = quick(stream, **asked, budget=16.0, base_lr=1e-2, out=tmp_path / "straight")
    straight = run(config)
    assert straight.folder.read_config()["run"]["dtype"] == "bfloat16"
    assert straight.summary.last_bpb < straight.summary.first_bpb
    with pytest.raises(Killed):
        run(to(config, tmp_path / "killed"), on_round=killed_after(2))
    told: list[str] = []
    resumed = run(RunConfig(**settings_in(tmp_path / "killed")), say=told.append).folder
    assert told == ["resumed after 2 rounds"]
    assert resumed.decisions.read_bytes() == straight.folder.decisions.read_bytes()
    models = [folder.model / "model.safetensors" for folder in (resumed, straight.folder)]
    assert models[0].read_bytes() == models[1].read_bytes()
    with safe_open(models[0], framework="pt") as saved:
        up = saved.get_tensor("model.layers.0.mlp.up_proj.weight")
    assert up.dtype == (torch.float32 if lora else torch.bfloat16)


def test_a_private_run_gone_on_with_draws_anew_and_keeps_its_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No example takes part in more steps than ε is of, none comes twice, and noise that was drawn is not again."""
    windows: list[set[bytes]] = []  # what might take part in each round that was made
    drawn = PoissonSampling.batches

    def watched(self: PoissonSampling, examples: Any) -> Any:
        windows.append({row.tobytes() for row in examples})
        return drawn(self, examples)

    monkeypatch.setattr(PoissonSampling, "batches", watched)
    private = {"dp_noise": 1.0, "base_batch": 4, "base_window": 4, "model": "pico", "checkpoint_every": 3}
    config = quick(write_stream(tmp_path / "mail.jsonl"), **private, rounds=10, out=tmp_path / "killed")
    with pytest.raises(Killed):
        run(config, on_round=killed_after(4))
    killed = config.out
    assert killed is not None
    kept, promised = windows[:3], RunFolder.open(killed).read_config()["privacy"]
    shutil.copytree(killed, tmp_path / "again")
    windows.clear()
    resumed, again = (run(to(config, out, resume=True)) for out in (killed, tmp_path / "again"))
    assert (resumed.records.ended, resumed.summary.rounds) == ("all of its 10 rounds were run", 10)

    rounds = kept + windows[:7]
    steps = Counter(example for window in rounds for example in window)
    assert max(steps.values()) * config.cost.updates(4) == promised["steps"]
    assert len(steps) == 10 * config.chunk  # of each round's four, none had been there before
    assert resumed.folder.read_config()["privacy"] == promised
    assert f"(ε = {promised['epsilon']:.4g}," in resumed.folder.report.read_text()
    straight = run(to(config, tmp_path / "straight", dp_noise=None, controller="base")).folder
    assert resumed.folder.stream.read_bytes() == straight.stream.read_bytes()

    models = [folder.model / "model.safetensors" for folder in (resumed.folder, again.folder)]
    assert models[0].read_bytes() != models[1].read_bytes()
    with pytest.raises(ValueError, match=r"--resume with --dp-noise 0\.5"):
        run(to(config, killed, resume=True, dp_noise=0.5))


def test_ctrl_c_and_resume_loses_nothing_and_replaces_the_model(config: RunConfig, tmp_path: Path) -> None:
    straight = run(config).folder
    out = tmp_path / "stopped"

    def interrupt(record: RoundRecord) -> None:
        if record.round == 4:
            signal.raise_signal(signal.SIGINT)

    stopped = run(to(config, out), on_round=interrupt)
    assert (stopped.summary.rounds, stopped.model_saved) == (5, True)
    told: list[str] = []
    resumed = run(to(config, out, resume=True), say=told.append)
    assert told == ["resumed after 5 rounds"]
    assert resumed.interrupted is None
    assert resumed.folder.decisions.read_bytes() == straight.decisions.read_bytes()
    models = [folder.model / "model.safetensors" for folder in (resumed.folder, straight)]
    assert models[0].read_bytes() == models[1].read_bytes()
    assert not list(out.glob("model.*"))


def test_rounds_that_were_in_shadow_are_made_again_in_shadow(config: RunConfig, tmp_path: Path) -> None:
    def switch(out: Path, last: int) -> Callable[[RoundRecord], None]:
        def act(record: RoundRecord) -> None:
            if record.round == 3:  # a checkpoint was made after round 2
                (out / "SHADOW").touch()
            if record.round == last:
                raise Killed

        return act

    straight, killed = tmp_path / "one", tmp_path / "two"
    whole = run(to(config, straight), on_round=switch(straight, last=-1)).folder
    with pytest.raises(Killed):
        run(to(config, killed), on_round=switch(killed, last=4))
    resumed = run(to(config, killed, resume=True)).folder
    rows = [json.loads(line) for line in resumed.decisions.read_text().splitlines()]
    assert [row["round"] for row in rows if "proposed" not in row] == [0, 1, 2, 3]
    assert resumed.decisions.read_bytes() == whole.decisions.read_bytes()


def test_a_run_that_had_ended_is_at_its_end_again_and_goes_on_with_what_was_added(
    config: RunConfig, tmp_path: Path
) -> None:
    first = run(config)
    before = first.folder.decisions.read_bytes()
    again = run(to(config, first.folder.path, resume=True))
    assert again.folder.decisions.read_bytes() == before
    stream = Path(config.stream)
    stream.write_bytes(stream.read_bytes() + b'{"text": "%s"}\n' % (b"something new, " * 20))
    more = run(to(config, first.folder.path, resume=True))
    assert more.folder.decisions.read_bytes().startswith(before)
    assert more.summary.rounds > first.summary.rounds


def test_a_stop_that_was_obeyed_does_not_stop_the_run_again(config: RunConfig, tmp_path: Path) -> None:
    out = tmp_path / "stopped"
    run(to(config, out), on_round=lambda record: (out / "STOP").touch())
    assert run(to(config, out, resume=True)).records.ended == "the stream ended"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"dtype": "bfloat16"}, "--resume with --dtype bfloat16, but the run in .* was begun with float32"),
        ({"seed": 4}, "--resume with --seed 4, but the run in .* was begun with 0"),
        ({"price": 0.5}, "--price 0.5"),
        ({"shadow": True}, "--shadow given.*was begun with left out"),
        ({"model": "nano"}, "--model nano"),
    ],
)
def test_a_changed_configuration_is_refused_and_nothing_is_touched(
    config: RunConfig, changed: dict[str, Any], told: str
) -> None:
    folder = run(to(config, config.out or Path(), rounds=2)).folder
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=told):
        run(to(config, folder.path, rounds=2, resume=True, **changed))
    assert {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()} == before


def test_the_command_line_takes_what_is_not_given_from_the_folder(
    config: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "killed"
    with pytest.raises(Killed):
        run(to(config, out), on_round=killed_after(4))
    assert execute(["run", "--resume", "--out", str(out), "--seed", "5"]) == 2
    assert "--resume with --seed 5" in capsys.readouterr().err
    assert execute(["run", "--resume", "--out", str(out), "--price", "0"]) == 0
    assert "resumed after 3 rounds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--resume"], "--resume needs --out"),
        (["--resume", "--out", "nowhere"], "nowhere is not a folder"),
        (["--stream", "a.txt", "--spool"], "spool keeps what comes from standard input"),
        (["--stream", "a.txt", "--checkpoint-every", "-1"], "checkpoint_every must be at least 0"),
    ],
)
def test_mistakes_are_told(options: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["run", *options]) == 2
    assert told in capsys.readouterr().err


def test_a_run_without_checkpoints_is_not_begun_anew_by_resume(config: RunConfig, tmp_path: Path) -> None:
    out = tmp_path / "none"
    rounds = run(to(config, out, checkpoint_every=0)).folder.decisions.read_bytes()
    assert not (out / "checkpoints").exists()
    with pytest.raises(ValueError, match="was to make no checkpoints"):
        run(to(config, out, checkpoint_every=0, resume=True))
    assert (out / "decisions.jsonl").read_bytes() == rounds


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("what", ["gone", "changed", "switches", "no checkpoints", "no checkpoints, gone"])
def test_a_refused_resume_of_a_run_that_had_ended_touches_nothing(
    config: RunConfig, tmp_path: Path, what: str
) -> None:
    run(config)
    out, stream = tmp_path / "straight", Path(config.stream)
    if what == "changed":
        stream.write_text(stream.read_text()[300:])
    if what.endswith("gone"):
        stream.unlink()
    if what == "switches":
        (out / "switches.jsonl").write_text('{"foo": 1}\n')
    if what.startswith("no checkpoints"):
        shutil.rmtree(out / "checkpoints")
    before = files_of(out)
    with pytest.raises(
        ValueError, match=r"changed within|there is no file|must have a round|checkpoints are gone"
    ):
        run(to(config, out, resume=True))
    assert files_of(out) == before


@pytest.mark.parametrize("settings", [None, [], {"stream": 5}])
def test_a_config_that_is_damaged_is_told(settings: Any, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.write_config({"kind": "run", "run": settings})
    with pytest.raises(ValueError, match="it is damaged, begin a new run"):
        settings_in(folder.path)


def test_two_runs_in_one_folder_are_refused_and_a_lock_of_the_dead_is_none(
    config: RunConfig, tmp_path: Path
) -> None:
    out = tmp_path / "shared"
    refused: list[str] = []

    def another(record: RoundRecord) -> None:
        for resume in (False, True):
            with pytest.raises(ValueError, match="another run is writing into") as caught:
                run(to(config, out, rounds=1, resume=resume))
            refused.append(str(caught.value))

    run(to(config, out, rounds=1), on_round=another)
    assert len(refused) == 2
    child = os.fork()
    if child == 0:
        lock = FolderLock(out)
        os.kill(os.getpid(), signal.SIGKILL)
        del lock
    os.waitpid(child, 0)
    with FolderLock(out):
        pass


def full_disk(patch: pytest.MonkeyPatch, method: str, kind: type, after: int) -> None:
    """Every call after so many finds the disk full."""
    calls, real = 0, getattr(kind, method)

    def limited(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*args, **kwargs)

    patch.setattr(kind, method, limited)


@pytest.mark.parametrize(("kind", "method", "after"), [(JsonLines, "write", 9), (Checkpoints, "_write", 1)])
def test_a_full_disk_ends_in_one_sentence_and_the_run_goes_on_when_there_is_room(
    config: RunConfig, tmp_path: Path, kind: type, method: str, after: int
) -> None:
    straight, out = run(config).folder, tmp_path / "full"
    with pytest.MonkeyPatch.context() as patch:
        full_disk(patch, method, kind, after)
        with pytest.raises(
            ValueError, match=r"\(no space left on device\); its checkpoints are kept: make room"
        ):
            run(to(config, out))
    resumed = run(to(config, out, resume=True))
    assert resumed.folder.decisions.read_bytes() == straight.decisions.read_bytes()


def test_a_folder_that_cannot_be_written_is_told_in_one_sentence(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*args: Any, **settings: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(tmp_path / "read-only"))

    monkeypatch.setattr(Path, "mkdir", refuse)
    out = str(tmp_path / "read-only")
    assert execute(["run", "--stream", config.stream, "--model", "pico", "--out", out]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"olrl: --out {out} cannot be written (Read-only file system)")
    assert told.count("\n") == 1


def _in(state: dict[str, Any], path: str) -> tuple[Any, str]:
    *above, name = path.split("/")
    for each in above:
        state = state[each]
    return state, name


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("rounds", "many"),
        ("seconds", []),
        ("decisions_size", -(2**70)),
        ("source", {}),
        ("deployment/loop/rounds/memory/ring", np.full((64, 4, 33), 1 << 20)),
        ("deployment/loop/rounds/monitor/spent", "much"),
        ("deployment/loop/learner/optimizer/exp_avg", np.zeros(3, dtype=np.float32)),
        ("deployment/loop/learner/last_move", np.zeros(3, dtype=np.float32)),
    ],
)
def test_a_checkpoint_that_was_tampered_with_and_signed_is_refused_in_a_sentence(
    config: RunConfig, tmp_path: Path, path: str, value: Any
) -> None:
    out = tmp_path / "tampered"
    run(to(config, out, rounds=3))
    checkpoints = Checkpoints(out / "checkpoints", kind="olrl run")
    newest = checkpoints.newest()
    assert newest is not None
    learner = "deployment/loop/learner/"  # whose names have slashes of their own
    above, name = (
        (_in(newest.state, learner)[0], path.removeprefix(learner))
        if path.startswith(learner)
        else _in(newest.state, path)
    )
    assert name in above
    above[name] = value
    checkpoints.save(newest.state)
    settings = json.loads((out / "config.json").read_text())
    settings["run"]["rounds"] = 5
    (out / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="damaged"):
        run(to(config, out, rounds=5, resume=True))


def test_curves_have_no_point_twice_after_a_resume(config: RunConfig, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "killed"
    with pytest.raises(Killed):
        run(to(config, out), on_round=killed_after(4))
    rounds = run(to(config, out, resume=True)).summary.rounds
    events = EventAccumulator(str(out), purge_orphaned_data=False).Reload()
    assert [point.step for point in events.Scalars("loss/bpb")] == list(range(rounds))
    assert [point.step for point in events.Scalars("cost/spent_total")] == list(range(rounds))
