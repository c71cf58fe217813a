"""Starts the live page."""

import socket
from importlib.util import find_spec
from pathlib import Path

from olrl.analysis.page import NEEDED
from olrl.dashboard.folders import runs_in

HOST = "127.0.0.1"
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
    "global.developmentMode": False,
    "logger.level": "error",
    "theme.base": "light",
    "theme.primaryColor": "#0072B2",
}


def serve(folder: Path, *, port: int) -> None:
    """Serve the page of a folder on 127.0.0.1 until Ctrl-C.

    ValueError, in one sentence, for a folder without runs, without streamlit, and for a port that is taken.
    """
    runs_in(folder)
    if any(find_spec(name) is None for name in ("streamlit", *NEEDED)):
        raise ValueError(MISSING)
    port = _free(port)
    from streamlit.web import (
        bootstrap,
    )  # takes a second, and refuses what a configuration of the user's says wrong

    settings = {**SETTINGS, "server.port": port, "browser.serverPort": port}
    flags = {name.replace(".", "_"): value for name, value in settings.items()}
    bootstrap.load_config_options(flags)
    print(
        f"The live page of {folder} is at http://{HOST}:{port} (this machine only); Ctrl-C ends it.",
        flush=True,
    )
    script = Path(__file__).with_name("page.py")
    bootstrap.run(str(script), False, [str(folder.resolve())], flags)


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
