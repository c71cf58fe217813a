import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "parent.py"
    program.write_text(
        textwrap.dedent(
            """
            import os, sys, time
            from concurrent.futures import ProcessPoolExecutor
            import multiprocessing
            from olrl.agents.warm_processes import end_with_parent

            if __name__ == "__main__":
                context = multiprocessing.get_context("forkserver")  # nothing preloaded: this is quick
                pool = ProcessPoolExecutor(2, mp_context=context, initializer=end_with_parent)
                print(pool.submit(os.getpid).result(), flush=True)
                for _ in range(4):
                    pool.submit(time.sleep, 60)
                time.sleep(60)
            """
        )
    )
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    for _ in range(100):
        if not _alive(worker):
            return
        time.sleep(0.1)
    os.kill(worker, signal.SIGKILL)
    raise AssertionError("a worker outlived its parent by ten seconds")


def _alive(pid: int) -> bool:
    """Whether a process exists and is no zombie waiting to be collected."""
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except (ProcessLookupError, FileNotFoundError):
        return False
