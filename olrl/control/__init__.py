"""What decides: decisions, controllers, the frozen policy, and the guard."""
