"""Kills of `olrl train`, on a recipe of seconds with a stage of every kind."""

import multiprocessing
import random
import shutil
import time
from pathlib import Path
from typing import Any

from kills.again import Told, kill_and_resume
from kills.compare import training_differences
from kills.forked import Forked

SEED = "3"


class TrainSubject:
    """The recipe `tiny`; its workers are forked from it too."""

    kind = "train"

    def __init__(self, *, scratch: Path) -> None:
        _known_and_forking()
        self._place = scratch / "train"
        self._place.mkdir(parents=True)
        self.reference = self._place / "reference"

    def play_reference(self, log: Path) -> float:
        """Train without a kill; how long it took, seconds."""
        started = time.monotonic()
        code = self._start(self.reference, resume=False, log=log).wait(3600)
        if code != 0:
            raise RuntimeError(f"training ended with {code} without a kill; see {log}")
        return time.monotonic() - started

    def _start(self, out: Path, *, resume: bool, log: Path) -> Forked:
        args = ["train", "--profile", "tiny", "--seed", SEED, "--out", str(out)]
        return Forked([*args, *(["--resume"] if resume else [])], log=log)

    def killed(
        self,
        name: str,
        *,
        kills: int,
        longest_s: float,
        rng: random.Random,
        log: Path,
        told: Told,
    ) -> dict[str, Any]:
        """As `RunSubject.killed`."""
        out, at = self._place / name, list[str]()

        def killed() -> None:
            numbers = [path.name for path in (out / "checkpoints").glob("[0-9]*")]
            at.append(max(numbers, default="none"))
            told(self.kind)

        code = kill_and_resume(
            lambda resume: self._start(out, resume=resume, log=log),
            out,
            kills=kills,
            longest_s=longest_s,
            rng=rng,
            killed=killed,
        )
        differs = ["its exit code"] if code else training_differences(self.reference, out)
        if not differs:
            shutil.rmtree(out)
        return {
            "stream": self.kind,
            "kills": len(at),
            "checkpoints_at_kills": at,
            "code": code,
            "differs": differs,
        }


def _known_and_forking() -> None:
    """Make the recipe known, and fork workers: a server for them would import everything anew at each start."""
    import olrl.agents.evaluation.play
    import olrl.agents.hindsight.stage
    import olrl.agents.ppo.environments
    import olrl.agents.workers.local
    import olrl.envs.online_lm_vec  # what workers need, imported before they are forked
    from olrl.agents import ppo
    from olrl.agents.ppo.tiny import TINY

    ppo.recipe.PROFILES["tiny"] = TINY
    vars(olrl.agents.workers.local)["warm_context"] = lambda: multiprocessing.get_context("fork")
