import subprocess
import sys


def test_numba_is_not_imported_before_a_surrogate_is_made() -> None:
    """It takes half a second, which neither deployment nor a language-model environment should wait for."""
    program = "import sys, olrl.deployment, olrl.envs, olrl.envs.online_lm; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
