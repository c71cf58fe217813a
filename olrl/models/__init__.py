"""The small models that ship, and how any other is loaded."""
