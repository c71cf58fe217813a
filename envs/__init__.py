"""Gymnasium environments over the online loop."""

if __name__ != "olrl.envs":
    raise ImportError(f"import olrl.envs, not {__name__}: the folder is part of the olrl package")
