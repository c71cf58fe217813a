"""What learns to steer the loop: PPO, its export, and the evaluation beside rivals."""

if __name__ != "olrl.agents":
    raise ImportError(f"import olrl.agents, not {__name__}: the folder is part of the olrl package")
