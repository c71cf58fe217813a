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

import pytest

from olrl.agents.local_ray import import_ray, local_ray
from tests.agents.marked import MARK, assert_gone
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
LOOPBACK = {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


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
    process = start(mark, "--stream", text, *small, "--engine", "ray", "--trials", 12, "--out", out)
    said, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    told: dict[str, Any] = json.loads(said.splitlines()[-1])
    assert told["heard"], "nothing was seen to listen: the watch does not work"
    assert set(told["heard"]) <= LOOPBACK
    rows = trials(out)
    assert [row["number"] for row in rows] == list(range(12))
    assert {row["rounds"] for row in rows if row["state"] == "complete"} == {10}
    early = [row for row in rows if row["state"] == "pruned"]
    assert early, "ASHA stopped no trial"  # who comes second to a rung and is worse than the first, for one
    assert all(3 <= row["rounds"] < 10 for row in early)
    base, best = results(out)["runs"]
    assert best["loss_bpb"] < base["loss_bpb"]
    assert_gone(mark)
    assert not [path for path in out.rglob("*") if path.suffix in (".pkl", ".pickle")]


@pytest.mark.slow
def test_ctrl_c_keeps_the_trials_and_ends_ray_and_a_search_goes_on_through_ray(tmp_path: Path) -> None:
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
    kept = trials(out)
    assert len(kept) > 3
    assert_gone(mark)

    count = len(kept) + 3
    more = ("--engine", "ray", "--trials", count, "--out", out, "--resume")
    process = start(mark, "--stream", text, *small, *more)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    rows = trials(out)
    assert rows[: len(kept)] == kept
    assert [row["number"] for row in rows] == list(range(count))
    best = results(out)["runs"][1]["loss_bpb"]
    assert best == min(row["loss_bpb"] for row in rows if row["state"] != "pruned")
    assert_gone(mark)


def test_a_ray_that_was_imported_before_is_refused_since_it_would_listen_everywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    constants = import_ray()._private.ray_constants
    monkeypatch.setattr(constants, "ENABLE_RAY_CLUSTER", True)
    with pytest.raises(ValueError, match="imported before"), local_ray(cpus=1):
        pass
