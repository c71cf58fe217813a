"""Training the controller with PPO (stable-baselines3), and freezing it."""
