"""Automatic feature engineering: candidates from raw signals, selected by recorded training runs."""
