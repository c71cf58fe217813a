"""What a person may do with a run that goes on."""

from collections.abc import Callable
from dataclasses import dataclass

from olrl.analysis.liveness import kind_of
from olrl.run_config import PROPOSES_NOTHING
from olrl.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class Action:
    """A button: what it says, what comes of it, what it does; or why it cannot be pressed."""

    name: str
    consequence: str
    act: Callable[[RunFolder], None]
    possible: bool = True
    why_not: str | None = None


def actions(folder: RunFolder) -> list[Action]:
    """What can be done with a run that goes on: files that a person could as well make by hand."""
    if kind_of(folder) != "run":
        return [_stop(folder, "The training ends at its next look, within a leg; --resume goes on with it.")]
    return [
        _shadow(folder),
        _stop(
            folder,
            "The run ends after its round, and the model is saved. olrl run --resume can go on with it later.",
        ),
    ]


def _stop(folder: RunFolder, consequence: str) -> Action:
    return Action(
        name="Stop",
        consequence=consequence,
        act=lambda folder: folder.stop.touch(mode=0o600),
        possible=not folder.stop_requested,
        why_not="It was asked to stop already." if folder.stop_requested else None,
    )


def _shadow(folder: RunFolder) -> Action:
    if folder.shadow_requested:
        return Action(
            name="Leave shadow",
            consequence="From the next decision on, the controller's decisions are in force again.",
            act=lambda folder: folder.shadow.unlink(missing_ok=True),
        )
    config = folder.read_config()
    asked, base = config["run"], config.get("base", {})
    why_not = None
    if asked.get("shadow"):
        why_not = "The run was begun in shadow."
    elif asked.get("controller") in PROPOSES_NOTHING:
        why_not = f"The controller {asked['controller']} proposes nothing but what is in force."
    return Action(
        name="Switch to shadow",
        consequence=(
            "From the next decision on, your base is in force (learning rate "
            f"{_number(base.get('lr'))}, batch size {_number(base.get('batch_size'))}, window "
            f"{_number(base.get('window'))}); what the controller would do is only written down."
        ),
        act=lambda folder: folder.shadow.touch(mode=0o600),
        possible=why_not is None,
        why_not=why_not,
    )


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else "unknown"
