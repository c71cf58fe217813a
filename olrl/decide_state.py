"""What `olrl decide --state` keeps between two calls: one JSON file, whole or as it was before."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any, NoReturn

from olrl.decide import Decider

MAX_BYTES = 1 << 20  # hundreds of times what a state takes


class StateFile:
    """The state of a decider on disk, readable by its owner only: it holds the history of losses.

    Raises ValueError, in one sentence, for what is there and is no state of this policy and base.
    """

    def __init__(self, path: Path, decider: Decider) -> None:
        self._path = Path(os.path.realpath(path))  # a link stays one; `resolve` raises for a loop
        self._decider = decider
        if not self._path.parent.is_dir():
            raise ValueError(f"--state {path}: there is no folder {path.parent}")
        if self._path.exists():
            self._load()

    def save(self) -> None:
        """Write the decider's state, so that it survives a kill or a power cut at any moment."""
        descriptor, name = tempfile.mkstemp(prefix=f".{self._path.name}-", dir=self._path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(self._decider.state_dict(), file, allow_nan=False)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _load(self) -> None:
        try:
            self._decider.load_state_dict(self._read())
        except ValueError as error:
            raise ValueError(
                f"--state {self._path} cannot be gone on with, since {error}: "
                f"give what it was made with, or another file to begin anew"
            ) from error

    def _read(self) -> Any:
        if not self._path.is_file():  # a pipe would be waited for, and a device has no end
            raise ValueError("it is no plain file")
        with self._path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
        try:
            return json.loads(data.decode("utf-8"), parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"it is no JSON ({error})") from error


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")
