import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("target", "cases"),
    [
        ("reader", 40),
        ("flood", 20),
        ("policy", 40),
        ("policy-leaf", 40),
        ("decide-state", 40),
        ("checkpoint", 25),
        ("resumed-run", 10),
        ("resumed-training", 10),
        ("command-line", 15),
        ("report", 6),
    ],
)
def test_malformed_input_is_refused_in_a_sentence(target: str, cases: int) -> None:
    # Seeds that scripts/fuzz.py does not play by default.
    command = [sys.executable, str(ROOT / "scripts" / "fuzz.py"), "--target", target]
    ended = subprocess.run(
        [*command, "--cases", str(cases), "--first", "1000000"], capture_output=True, text=True, timeout=600
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{cases} cases, 0 failed" in ended.stdout


def test_a_case_that_breaks_is_told_with_its_seed(tmp_path: Path) -> None:
    # A program that hides its failures finds none.
    code = (
        "import sys; sys.path.insert(0, 'scripts')\n"
        "from pathlib import Path\n"
        "from fuzzing.target import Target, play\n"
        "def bomb(rng, folder):\n"
        "    kind = int(folder.name.rpartition('-')[2])\n"
        "    if kind == 1: raise KeyError('oops')\n"
        "    if kind == 2: bytearray(4 << 30)\n"
        "    return 'fine'\n"
        f"tally = play(Target(name='bomb', case=bomb), first=0, count=4, scratch=Path({str(tmp_path)!r}))\n"
        "print(dict(tally.outcomes), *(failure.splitlines()[0] for failure in tally.failures), sep='|')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("{'fine': 2, 'FAILED': 2}|bomb seed 1: KeyError")
    assert "bomb seed 2: MemoryError" in ended.stdout
