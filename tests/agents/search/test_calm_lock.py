import signal
from pathlib import Path

import pytest

from olrl.agents.search.calm_lock import CalmLock


def test_ctrl_c_while_the_lock_is_held_comes_after_it(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.touch()
    lock, before = CalmLock(str(path)), signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        lock.acquire()
        signal.raise_signal(signal.SIGINT)  # nothing yet
        with pytest.raises(KeyboardInterrupt):
            lock.release()
        assert sorted(tmp_path.iterdir()) == [path]  # it was given back
        lock.acquire()
        lock.release()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
