"""The loop inside other people's training loops; empty as yet."""
