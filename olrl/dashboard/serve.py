"""Starts the live page."""

import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from olrl.analysis.page import NEEDED
from olrl.dashboard.folders import runs_in

HOST = "127.0.0.1"
GOODBYE_S = 3.0
MISSING = "the live page needs streamlit, which is not installed: pip install 'olrl[dashboard]'"
# What holds whatever a configuration of the user's says: nobody but this machine is served, nothing is reported to
# anybody, nothing is watched but what the page reads itself.
SETTINGS = {
    "server.address": HOST,
    "server.headless": True,
    "server.fileWatcherType": "none",
    "server.enableCORS": True,  # or any page in the browser could press the buttons
    "server.enableXsrfProtection": True,
    "server.enableStaticServing": False,
    "browser.gatherUsageStats": False,
    "browser.serverAddress": HOST,
    "logger.hideWelcomeMessage": True,
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "client.showErrorLinks": False,
    "global.developmentMode": False,
    "logger.level": "error",
    "theme.base": "light",
    "theme.primaryColor": "#0072B2",
}


def serve(folder: Path, *, port: int) -> None:
    """Serve the page of a folder on 127.0.0.1 until Ctrl-C, or SIGTERM.

    ValueError, in one sentence, for a folder without runs, without streamlit, and for a port that is taken.
    """
    runs_in(folder)
    if any(find_spec(name) is None for name in ("streamlit", *NEEDED)):
        raise ValueError(MISSING)
    port = _free(port)
    settings = {**SETTINGS, "server.port": port, "browser.serverPort": port}
    flags = [f"--{name}={str(value).lower()}" for name, value in settings.items()]
    page = str(Path(__file__).with_name("page.py"))
    # -P: what lies in the folder that one happens to be in is not imported.
    command = [sys.executable, "-P", "-m", "streamlit", "run", page, *flags, "--", str(folder.resolve())]
    # Of its own it says nothing but farewell, and with our terminal gone it would fail at that, and serve for ever.
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        for number in (signal.SIGINT, signal.SIGTERM):  # what was started in the background ignores the first
            signal.signal(number, signal.default_int_handler)
        try:
            _wait_for(server, port)
            print(
                f"The live page of {folder} is at http://{HOST}:{port} (this machine only); Ctrl-C ends it.",
                flush=True,
            )
            server.wait()
        except KeyboardInterrupt:
            pass
        finally:
            _end(server)


def _wait_for(server: "subprocess.Popen[bytes]", port: int) -> None:
    """Until it answers; ValueError if it ends before."""
    while server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.1)
    raise ValueError(f"streamlit ended at once with code {server.returncode}: what it said stands above")


def _end(server: "subprocess.Popen[bytes]") -> None:
    """Streamlit waits for open pages to say good-bye, and some never do."""
    server.terminate()
    try:
        server.wait(GOODBYE_S)
    except subprocess.TimeoutExpired:
        server.kill()


def _free(port: int) -> int:
    """The port, or one that is free for 0."""
    if not 0 <= port <= 65535:
        raise ValueError(f"--port must be from 0 to 65535, not {port}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server itself does
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ValueError(
                f"port {port} cannot be used ({error.strerror}): give another --port, or 0"
            ) from error
        return int(probe.getsockname()[1])
