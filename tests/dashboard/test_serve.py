import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from olrl.cli import execute
from olrl.dashboard import serve
from tests.run_folders import make_run, row

ROOT = Path(__file__).parents[2]


def told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert execute(["dashboard", *arguments]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    return said.err


def test_mistakes_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "is not a folder" in told([str(tmp_path / "nowhere")], capsys)
    assert "holds no run" in told([str(tmp_path)], capsys)
    run = str(make_run(tmp_path / "run", [row(0, 3.0)]).path)
    assert "--port must be from 0 to 65535" in told([run, "--port", "70000"], capsys)
    with socket.socket() as taken:
        taken.bind((serve.HOST, 0))
        taken.listen()
        assert "cannot be used" in told([run, "--port", str(taken.getsockname()[1])], capsys)
    monkeypatch.setattr(serve, "find_spec", lambda name: None)
    assert "pip install 'olrl[dashboard]'" in told([run], capsys)


@pytest.mark.slow
def test_it_is_served_to_this_machine_only_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [row(0, 3.0)]).path
    program = "from olrl.cli import main; main()"
    command = [sys.executable, "-c", program, "dashboard", str(run), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline().split("http://127.0.0.1:")[1].split()[0])
        with socket.create_connection((serve.HOST, port)) as asked:
            asked.sendall(b"GET /_stcore/health HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            assert b"200" in asked.recv(100)
        with socket.socket() as elsewhere:  # another address of this machine, as the network would ask for it
            assert elsewhere.connect_ex(("127.0.0.2", port)) != 0
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 0
    with socket.socket() as probe:
        assert probe.connect_ex((serve.HOST, port)) != 0


@pytest.mark.slow
def test_a_server_whose_parent_and_terminal_are_gone_ends_when_told(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [row(0, 3.0)]).path
    program = "from olrl.cli import main; main()"
    command = [sys.executable, "-c", program, "dashboard", str(run), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        (server,) = psutil.Process(parent.pid).children()
        parent.kill()  # its pipes are closed with it
    server.terminate()
    try:
        server.wait(60)
    except psutil.TimeoutExpired:
        server.kill()
        pytest.fail("it goes on serving")
