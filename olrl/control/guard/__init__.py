"""What stands between controller and learner, a layer a file; `Guard` puts them together."""

from olrl.control.guard.budgets import Budgets, Limits
from olrl.control.guard.guard import Guard
from olrl.control.guard.rollback import LastGood
from olrl.control.guard.settings import GuardSettings

__all__ = ["Budgets", "Guard", "GuardSettings", "LastGood", "Limits"]
