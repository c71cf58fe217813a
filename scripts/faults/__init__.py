"""Faults in online loops, and what comes of them: the parts of scripts/fault_study.py."""
