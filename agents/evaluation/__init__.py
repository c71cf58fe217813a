"""How a controller is judged: entrants side by side on the same tokens."""
