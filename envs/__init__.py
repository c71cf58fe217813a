"""Gymnasium environments over the online loop.

Importing this package registers `olrl/OnlineLM-v0` and `olrl/DriftingQuadratic-v0`;
`gymnasium.make("olrl.envs:olrl/OnlineLM-v0")` imports it for you. The module behind an environment is
imported when one is made.
"""

if __name__ != "olrl.envs":
    raise ImportError(f"import olrl.envs, not {__name__}: the folder is part of the olrl package")

import gymnasium

ENVIRONMENTS = {
    "olrl/OnlineLM-v0": "olrl.envs.online_lm:OnlineLMEnv",
    "olrl/DriftingQuadratic-v0": "olrl.envs.drifting_quadratic:DriftingQuadraticEnv",
}

for _name, _entry_point in ENVIRONMENTS.items():
    gymnasium.register(id=_name, entry_point=_entry_point)
