"""Processes that a test has started, with all that they started in turn, are found by a mark."""

import time

import psutil

MARK = "OLRL_TEST_MARK"  # in the environment that is given to them


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


def assert_gone(mark: str) -> None:
    """All of them are, at the latest in a while."""
    deadline = time.monotonic() + 20
    while alive(mark) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert alive(mark) == []
