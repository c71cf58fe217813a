"""Whom a policy is compared with: one file per rival, all tuned by one tuner with the same budget."""
