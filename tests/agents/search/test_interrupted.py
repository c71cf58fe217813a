"""A real SIGINT to a real search: what was made is kept, and gone on with as if nothing had been."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from optuna.samplers import RandomSampler

from olrl.agents.search import optuna_engine
from tests.agents.search.searches import olrl_search, results, trials, write_text

PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in its background has none
from olrl.cli import execute
sys.exit(execute(sys.argv[1:]))
"""
SMALL = ("--model", "femto", "--chunk", 2, "--seq-len", 16, "--rounds", 10, "--base-lr", 1e-4, "--seed", 3)
ENOUGH = 12  # so many, that the Gaussian process has begun to propose


def test_a_search_that_sigint_has_stopped_goes_on_to_what_it_would_have_found(tmp_path: Path) -> None:
    text = write_text(tmp_path / "text.jsonl", rounds=12)
    given, stopped, whole = ("--stream", text, *SMALL), tmp_path / "stopped", tmp_path / "whole"
    command = ["search", *given, "--trials", 5000, "--out", stopped]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        log = stopped / "trials.jsonl"
        while process.poll() is None and not (log.is_file() and log.read_bytes().count(b"\n") >= ENOUGH):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    kept = trials(stopped)
    assert len(kept) >= ENOUGH
    assert f"the {len(kept)} trials made so far are kept" in " ".join(said.split())
    assert not (stopped / "base.json").exists()  # it has not come to its end

    count = len(kept) + 3
    assert olrl_search(*given, "--trials", count, "--out", stopped, "--resume") == 0
    assert olrl_search(*given, "--trials", count, "--out", whole) == 0
    assert trials(stopped)[: len(kept)] == kept
    assert trials(stopped) == trials(whole)
    assert results(stopped)["best"] == results(whole)["best"]
    assert (stopped / "base.json").read_bytes() == (whole / "base.json").read_bytes()


def test_ctrl_c_while_a_trial_is_proposed_comes_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposed = []

    class Interrupted(RandomSampler):
        def sample_independent(self, *args: Any) -> Any:
            if len(trials(tmp_path / "out")) == 2:
                signal.raise_signal(signal.SIGINT)
                proposed.append("to the end")
            return super().sample_independent(*args)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(optuna_engine, "sampler_of", lambda name, *, seed: Interrupted(seed=seed))
    given = ("--stream", write_text(tmp_path / "text.jsonl", rounds=12), *SMALL, "--trials", 5)
    try:
        assert olrl_search(*given, "--out", tmp_path / "out") == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(proposed) > 1  # every knob of that trial, though the first had been interrupted
    assert len(trials(tmp_path / "out")) == 2
    monkeypatch.undo()
    assert olrl_search(*given, "--out", tmp_path / "out", "--resume") == 0
    assert len(trials(tmp_path / "out")) == 5
