"""Checkpoints: everything that goes on depends on, in a folder that appears whole or not at all."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EIO
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from olrl.state_tree import join, split

FORMAT = 1
KEPT = 2  # should the newest be damaged, the one before it is gone on from
_STATE, _ARRAYS, _MANIFEST = "state.json", "arrays.safetensors", "manifest.json"
_NOTICE = "holds what the model is trained on: text of the stream, as token ids"
_SCRATCH = ".unfinished-"
_LARGEST_MANIFEST = 1 << 20  # bytes, of about a thousand


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint that was read and verified: its number, and the state it was saved with."""

    number: int
    folder: Path
    state: dict[str, Any]


class Checkpoints:
    """The checkpoints in a folder, of one `kind`; the newest `kept` stay.

    A state is a tree of dicts (with text as keys), lists, tuples, text, numbers, None and numpy arrays; it is
    written as JSON and safetensors, and reading it runs no code. What `state_dict()` of a component gives is
    such a tree. A kill, or a loss of power, at any moment leaves those that were there: a new one is written
    into a temporary folder, each file is flushed to the disk, last the manifest with everybody's sha256, and
    then the folder is renamed.

    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoints = Checkpoints(Path(folder), kind="example")
    ...     for step in range(4):
    ...         _ = checkpoints.save({"step": step, "weights": np.full(2, step)})
    ...     newest = checkpoints.newest()
    ...     len(list(Path(folder).iterdir())), newest.number, newest.state["weights"].tolist()
    (2, 3, [3, 3])
    """

    def __init__(self, folder: Path, *, kind: str, kept: int = KEPT) -> None:
        if kept < 1:
            raise ValueError(f"at least 1 checkpoint must be kept, not {kept!r}")
        self.folder = folder
        self._kind = kind
        self._kept = kept

    def save(self, state: dict[str, Any], *, about: dict[str, Any] | None = None) -> Path:
        """Write a new checkpoint and remove the oldest; `about` (JSON-able) goes into the manifest for people.

        Costs a copy of the state and its flush to the disk. Raises OSError if it cannot be written, and then
        those that were there are still there.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self._sweep()
        earlier = self.numbers()
        number = earlier[-1] + 1 if earlier else 0
        scratch = self.folder / f"{_SCRATCH}{number:08d}"
        try:
            scratch.mkdir(mode=0o700)
            self._write(scratch, state, about or {})
            final = self._path(number)
            scratch.rename(final)
        except OSError:
            shutil.rmtree(scratch, ignore_errors=True)  # on a full disk its room may be all there is
            raise
        sync_folder(self.folder)
        for old in earlier[: len(earlier) + 1 - self._kept]:
            shutil.rmtree(self._path(old))
        return final

    def _write(self, scratch: Path, state: dict[str, Any], about: dict[str, Any]) -> None:
        plain, arrays = split(state)
        _save_arrays(arrays, scratch / _ARRAYS)
        text = json.dumps(plain, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        write_synced(scratch / _STATE, text.encode("utf-8", "surrogatepass"))
        files = {name: _fingerprint(scratch / name) for name in (_ARRAYS, _STATE)}
        manifest = {"format": FORMAT, "kind": self._kind, "notice": _NOTICE, "about": about, "files": files}
        sync_folder(scratch)
        write_synced(scratch / _MANIFEST, json.dumps(manifest, indent=1).encode())
        sync_folder(scratch)

    def newest(self, say: Callable[[str], None] = lambda sentence: None) -> Checkpoint | None:
        """The newest checkpoint that verifies, None if there are none; `say` is told of each that is damaged.

        Raises ValueError in one sentence if there are some and none of them verifies.
        """
        reason = ""
        for number in reversed(self.numbers()):
            try:
                return Checkpoint(number=number, folder=self._path(number), state=self._read(number))
            except ValueError as error:
                reason = f"checkpoint {self._path(number)} is damaged ({error})"
                say(f"{reason}: the one before it is used")
        if reason:
            raise ValueError(f"{reason}, and there is none before it that can be read: begin anew")
        return None

    def drop_after(self, number: int) -> None:
        """Remove later checkpoints than this one, since going on from it makes them anew."""
        for later in self.numbers():
            if later > number:
                shutil.rmtree(self._path(later))

    def numbers(self) -> list[int]:
        """The numbers of all checkpoints, damaged ones too, in order."""
        try:
            names = [path.name for path in self.folder.iterdir()]
        except FileNotFoundError:
            return []
        return sorted(int(name) for name in names if re.fullmatch(r"\d{8}", name))

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:08d}"

    def _read(self, number: int) -> dict[str, Any]:
        """The state; ValueError says what is wrong with it."""
        folder = self._path(number)
        try:
            manifest = json.loads(_read_bounded(folder / _MANIFEST, _LARGEST_MANIFEST))
            if manifest["format"] != FORMAT or manifest["kind"] != self._kind:
                raise ValueError(
                    f"it is a {manifest['kind']} of format {manifest['format']}, "
                    f"and this version reads a {self._kind} of format {FORMAT}"
                )
            for name in (_ARRAYS, _STATE):
                _check_size(folder / name, manifest["files"][name]["bytes"])
                if _fingerprint(folder / name) != manifest["files"][name]:
                    raise ValueError(f"{name} is not what was written")
            plain = json.loads((folder / _STATE).read_bytes().decode("utf-8", "surrogatepass"))
            state: dict[str, Any] = join(plain, load_file(folder / _ARRAYS))
            if not isinstance(state, dict):
                raise ValueError(f"{_STATE} holds no state")
            return state
        except OSError as error:
            raise ValueError(f"{Path(error.filename or folder).name}: {error.strerror}") from error
        except (LookupError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
            raise ValueError(f"its {_MANIFEST} is none: {_short(repr(error))}") from error
        except ValueError as error:
            raise ValueError(_short(str(error))) from error

    def _sweep(self) -> None:
        """Remove what a kill left half-written."""
        for path in self.folder.glob(f"{_SCRATCH}*"):
            shutil.rmtree(path)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Within, what the disk says to safetensors is an OSError again, as it is everywhere else."""
    try:
        yield
    except SafetensorError as error:  # it comes in words only: "... (os error 28)"
        number = re.search(r"os error (\d+)", str(error))
        code = int(number.group(1)) if number else EIO
        raise OSError(code, os.strerror(code), str(path)) from error


def _save_arrays(arrays: dict[str, NDArray[Any]], path: Path) -> None:
    with disk_errors(path):
        save_file(arrays, path)
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _short(reason: str) -> str:
    """What is damaged may be quoted in its error; a page of it tells nobody anything."""
    return " ".join(reason[:300].split())


def _check_size(path: Path, promised: int) -> None:
    """Before all of it is read: a file may say that it is as large as the disk."""
    _check_plain(path)
    if path.stat().st_size != promised:
        raise ValueError(f"{path.name} is not what was written")


def _read_bounded(path: Path, most: int) -> bytes:
    _check_plain(path)
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"{path.name} is larger than {most >> 20} MiB")
    return data


def _check_plain(path: Path) -> None:
    """A pipe would be waited for, and a device has no end."""
    if path.exists() and not path.is_file():
        raise ValueError(f"{path.name} is no plain file")


def _fingerprint(path: Path) -> dict[str, Any]:
    _check_plain(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": os.fstat(file.fileno()).st_size, "sha256": digest}


def write_synced(path: Path, content: bytes) -> None:
    """Write a new file (mode 0600), on the disk when this returns."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_synced(path: Path, content: bytes) -> None:
    """Write a file, or replace it, whole or not at all."""
    fresh = path.with_name(f".{path.name}.unfinished")
    fresh.unlink(missing_ok=True)
    write_synced(fresh, content)
    fresh.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Let the names in a folder survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Let all files in a folder survive a loss of power."""
    for path in _all(folder):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    sync_folder(folder)


def _all(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def cut_back(path: Path, size: int) -> None:
    """Cut a file back to the size it had at a checkpoint; what was not there then may be absent now.

    Raises ValueError if it is shorter than that, or no size is given.
    """
    if type(size) is not int or size < 0:
        raise ValueError(f"{path} had no size of {size!r:.50}: what the checkpoint says of it is damaged")
    if path.is_symlink():  # whoever gave us the folder would have us cut a file somewhere else
        raise ValueError(f"{path} is a link and not what was there when the checkpoint was made")
    found = path.stat().st_size if path.exists() else 0
    if found < size:
        raise ValueError(
            f"{path} has {found} bytes and had {size} when the checkpoint was made: "
            f"put back what is missing, or begin anew"
        )
    if found > size:
        os.truncate(path, size)
        with path.open("rb+") as file:
            os.fsync(file.fileno())
