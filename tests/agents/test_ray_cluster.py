"""Work on a Ray cluster of two nodes, by its address: all of it in namespaces that see nothing but loopback."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.agents.marked import MARK, assert_gone

# No network but loopback, and the end of the first process is the end of all that it has started.
NAMESPACES = [
    "unshare",
    "--map-root-user",
    "--net",
    "--uts",
    "--pid",
    "--fork",
    "--mount-proc",
    "--kill-child",
]


def has_namespaces() -> bool:
    """Whether this system lets us have such."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    tried = subprocess.run([*NAMESPACES, "ip", "link", "set", "lo", "up"], capture_output=True, check=False)
    return tried.returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra ray is not installed"),
    pytest.mark.skipif(not has_namespaces(), reason="no network namespaces here"),
]


def test_two_nodes_do_what_this_machine_does_also_where_one_of_them_is_killed(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    ray_folder = tempfile.mkdtemp(prefix="olrl-", dir="/tmp")  # its sockets' names have 107 bytes at most
    command = [*NAMESPACES, sys.executable, "-m", "tests.agents.cluster", str(tmp_path), ray_folder]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    process = subprocess.Popen(
        command, env={**environment, MARK: mark}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        said, errors = process.communicate(timeout=600)
    finally:
        process.kill()
        assert_gone(mark)
        shutil.rmtree(ray_folder, ignore_errors=True)
    assert process.returncode == 0, errors
    assert json.loads(said.splitlines()[-1]) == {
        "raylets": 1,  # beside the head's
        "cores": 2,
        "same rows": True,
        "nodes": 2,
        "replaced some": True,
        "nodes after": 1,
        "same steps": True,
    }
