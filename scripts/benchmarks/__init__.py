"""The parts of `scripts/benchmark.py`: what is measured, a section a file, and how."""
