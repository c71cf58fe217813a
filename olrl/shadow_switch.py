"""Shadow mode switched on and off by a person while the run goes on."""

import json
from typing import Any

from olrl.checkpoint import replace_synced
from olrl.run_folder import RunFolder, read_json_lines


class ShadowSwitch:
    r"""Whether a round is in shadow: always, or while a person's file `SHADOW` lies in the run's folder.

    Looked at once a round, when its decision is due. Each switch is a line of `switches.jsonl`, on the disk before
    it has any effect: a run that was killed and goes on from an earlier checkpoint makes its rounds again as they
    were, up to the last switch; after that the file decides anew. With `always` the file means nothing, and neither
    does it with `possible=False`, for controllers that propose nothing new.

    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     folder = RunFolder.create(Path(parent) / "run")
    ...     switch = ShadowSwitch(folder)
    ...     before = switch(0)
    ...     folder.shadow.touch()
    ...     before, switch(1), ShadowSwitch(folder)(0), folder.switches.read_text()
    (False, True, False, '{"round": 1, "shadow": true}\n')
    """

    def __init__(self, folder: RunFolder, *, always: bool = False, possible: bool = True) -> None:
        self._folder, self._always, self._possible = folder, always, possible
        self._switches: list[tuple[int, bool]] = []
        if folder.switches.is_file():
            self._switches = [_switch(row, folder) for row in read_json_lines(folder.switches)]

    def __call__(self, number: int) -> bool:
        """Whether round `number` is in shadow."""
        if self._always or not self._possible:
            return self._always
        if self._switches and number <= self._switches[-1][0]:
            return self._before(number)
        now = self._folder.shadow_requested
        if now != self._before(number):
            self._switches.append((number, now))
            lines = (json.dumps({"round": at, "shadow": shadow}) + "\n" for at, shadow in self._switches)
            replace_synced(self._folder.switches, "".join(lines).encode())
        return now

    def _before(self, number: int) -> bool:
        """What the last switch up to this round has left."""
        return next((shadow for at, shadow in reversed(self._switches) if at <= number), False)


def _switch(row: dict[str, Any], folder: RunFolder) -> tuple[int, bool]:
    """ValueError for a row that no run wrote."""
    number, shadow = row.get("round"), row.get("shadow")
    if type(number) is not int or type(shadow) is not bool:
        raise ValueError(
            f"{folder.switches} must have a round, and true or false for shadow, in each line, not {row!r:.99}: "
            "put it back as it was, or begin a new run"
        )
    return number, shadow
