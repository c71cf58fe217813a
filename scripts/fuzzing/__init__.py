"""What scripts/fuzz.py is made of: a module for each thing that reads what others wrote."""
