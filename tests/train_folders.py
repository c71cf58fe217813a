"""Training folders made by hand, for tests of what reads them."""

from pathlib import Path

from olrl.control.policy import load_policy
from olrl.run_folder import RunFolder
from olrl.tracking import EventWriter

STEPS = (100, 200, 300)


def make_training(path: Path, *, stages: tuple[str, ...] = ("surrogate", "language")) -> RunFolder:
    """The folder of a training of these stages, three legs each, with a policy that was kept."""
    folder = RunFolder.create(path)
    folder.write_config({"command": "train", "profile": "quick", "seed": 3, "recipe": {"name": "quick"}})
    for k, stage in enumerate(stages):
        writer = EventWriter(path / "tensorboard" / stage)
        for step in STEPS:
            curves = {
                "rollout/ep_rew_mean": step / 100,
                "control/lr_choice": 1.0,
                "validation/score": 5.0 - k - step / 100,
            }
            writer.scalars(curves, step=step)
        writer.close()
    load_policy("default").save(path / "policy")
    return folder
