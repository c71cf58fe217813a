"""Machine code that one process compiles and the next one reads from disk: the same to the bit."""

import os
import subprocess
import sys
from pathlib import Path

# AdamW, since it is the smallest that is made of two functions, and is quickly compiled.
STEP = """
import hashlib
import numpy as np
from olrl.learners.kernels import adamw

rng = np.random.default_rng(0)
values, gradients = rng.normal(0, 0.1, (2, 2, 5000)).astype(np.float32)
first, second = gradients / 10, gradients * gradients
lr, decay = np.full((2, 1), 1e-3, np.float32), np.full((2, 1), 1e-2, np.float32)
adamw(values, gradients, first, second, np.ones((2, 1)), lr, decay, 0.9, 0.99, 1e-8)
print(hashlib.sha256(values.tobytes()).hexdigest(), sum(adamw.stats.cache_hits.values()))
"""


def test_a_process_that_compiles_computes_what_one_computes_that_reads(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}

    def step() -> list[str]:
        told = subprocess.run(
            [sys.executable, "-c", STEP], env=environment, capture_output=True, text=True, check=True
        )
        return told.stdout.split()

    (compiled, none), (read, one) = step(), step()
    assert (none, one) == ("0", "1")  # the second one did read
    assert compiled == read
