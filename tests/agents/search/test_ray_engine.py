import json
import os
import signal
import subprocess
import sys
import time
import uuid
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from olrl.agents.local_ray import import_ray, local_ray
from tests.agents.search.searches import results, trials, write_text

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="the extra ray is not installed")

# Searches in a process of its own, and tells where any process below it listened meanwhile.
PROGRAM = """
import json, signal, sys, threading, time
import psutil

signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in its background has none

from tests.agents.search.searches import olrl_search

heard = set()

def watch():
    while True:
        for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
            try:
                sockets = process.net_connections(kind="inet")
            except psutil.Error:
                continue
            heard.update(s.laddr.ip for s in sockets if s.status == "LISTEN")
        time.sleep(0.2)

threading.Thread(target=watch, daemon=True).start()
code = olrl_search(*sys.argv[1:])
print(json.dumps({"code": code, "heard": sorted(heard)}))
"""
MARK = "OLRL_TEST_MARK"
LOOPBACK = {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


def alive(mark: str) -> list[str]:
    """Processes that were started with the mark in their environment, whoever their parent is now."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline())[:80])
        except psutil.Error:
            continue
    return found


def start(mark: str, *options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, *(str(option) for option in options)]
    environment = {**os.environ, MARK: mark}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_ray_finds_listens_on_loopback_only_and_leaves_no_process_behind(tmp_path: Path) -> None:
    text, out, mark = write_text(tmp_path / "text.jsonl", rounds=12), tmp_path / "out", uuid.uuid4().hex
    small = ("--model", "femto", "--chunk", 2, "--seq-len", 16, "--rounds", 10, "--base-lr", 1e-4)
    process = start(mark, "--stream", text, *small, "--engine", "ray", "--trials", 6, "--out", out)
    said, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    told: dict[str, Any] = json.loads(said.splitlines()[-1])
    assert told["heard"], "nothing was seen to listen: the watch does not work"
    assert set(told["heard"]) <= LOOPBACK
    assert [row["number"] for row in trials(out)] == list(range(6))
    base, best = results(out)["runs"]
    assert best["loss_bpb"] < base["loss_bpb"]
    deadline = time.monotonic() + 20
    while alive(mark) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert alive(mark) == []
    assert not [path for path in out.rglob("*") if path.suffix in (".pkl", ".pickle")]


@pytest.mark.slow
def test_ctrl_c_keeps_the_trials_and_ends_ray(tmp_path: Path) -> None:
    text, out, mark = write_text(tmp_path / "text.jsonl", rounds=12), tmp_path / "out", uuid.uuid4().hex
    small = ("--model", "femto", "--chunk", 2, "--seq-len", 16, "--rounds", 10, "--base-lr", 1e-4)
    process = start(mark, "--stream", text, *small, "--engine", "ray", "--trials", 500, "--out", out)
    deadline = time.monotonic() + 400
    while process.poll() is None and time.monotonic() < deadline:
        if (out / "trials.jsonl").is_file() and len(trials(out)) > 3:
            break
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=600)
    assert "--resume" in said, errors
    assert len(trials(out)) > 3
    deadline = time.monotonic() + 20
    while alive(mark) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert alive(mark) == []


def test_a_ray_that_was_imported_before_is_refused_since_it_would_listen_everywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    constants = import_ray()._private.ray_constants
    monkeypatch.setattr(constants, "ENABLE_RAY_CLUSTER", True)
    with pytest.raises(ValueError, match="imported before"), local_ray(cpus=1):
        pass
