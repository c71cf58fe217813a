"""The folder a run writes: what lies where, who may read it, and how a person ends the run."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EDQUOT, EFBIG, ENOSPC, EROFS
from pathlib import Path
from typing import IO, Any

from olrl.checkpoint import replace_synced

FORMAT = 1
CONFIG = "config.json"
BASE = "base.json"  # a configuration that a search has found: olrl run --base-from reads it
MAX_LINE_BYTES = 4 << 20  # of a row, and of a configuration: a thousand times what they take


@dataclass(frozen=True)
class RunFolder:
    """Paths inside one run's folder; only its owner may read it (mode 0700), since a model learned the text.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     folder = RunFolder.create(Path(parent) / "first")
    ...     folder.write_config({"seed": 0})
    ...     folder.read_config(), oct(folder.path.stat().st_mode)[-3:], folder.stop_requested
    ({'format': 1, 'seed': 0}, '700', False)
    """

    path: Path

    @classmethod
    def create(cls, path: Path) -> "RunFolder":
        """A new folder with its parents; ValueError when something is there already."""
        try:
            str(path).encode()
        except UnicodeEncodeError as error:  # tokenizers can write into no such folder, at the end of a run
            raise ValueError(f"--out {str(path)!a} is not UTF-8: give a name that is") from error
        if path.exists() and not path.is_dir():
            raise ValueError(f"--out {path} is a file: give the name of a new or empty folder")
        if path.is_dir() and any(each.name != f".{CONFIG}.unfinished" for each in path.iterdir()):
            what = "already holds a run" if (path / CONFIG).is_file() else "holds other files"
            raise ValueError(f"--out {path} {what} and is not overwritten: give a new or empty folder")
        try:
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o700)
        except OSError as error:
            raise ValueError(
                f"--out {path} cannot be written ({error.strerror}): give a folder where it can"
            ) from error
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """A folder that a run has written; ValueError when it is none."""
        if not path.is_dir():
            raise ValueError(f"{path} is not a folder: give the folder that a run has written")
        if not (path / CONFIG).is_file():
            raise ValueError(f"{path} has no {CONFIG}: give the folder that a run has written")
        return cls(path)

    @property
    def decisions(self) -> Path:
        """A line a round: the loss before the decision, the decision, and what came of it."""
        return self.path / "decisions.jsonl"

    @property
    def stream(self) -> Path:
        """A line a round: what arrived (source, true segment where known, bytes); never the text."""
        return self.path / "stream.jsonl"

    @property
    def explanations(self) -> Path:
        """A line for each decision that is explained: the features that moved each knob most."""
        return self.path / "explanations.jsonl"

    @property
    def dead_letter(self) -> Path:
        """A line for each row of the stream that could not be used."""
        return self.path / "dead_letter.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints: all that going on needs. They hold text, as what the model is trained on."""
        return self.path / "checkpoints"

    @property
    def spool(self) -> Path:
        """What came from standard input, as it came, where the run keeps it."""
        return self.path / "spool"

    @property
    def has_spooled(self) -> bool:
        """Whether text came from standard input that is nowhere else any more."""
        return self.spool.exists() and self.spool.stat().st_size > 0

    @property
    def ending(self) -> Path:
        """Why the run ended, how long it took, and how many rows could not be used."""
        return self.path / "ending.json"

    @property
    def figures(self) -> Path:
        """Folder of figures."""
        return self.path / "figures"

    @property
    def figure(self) -> Path:
        """The figure of loss and decisions."""
        return self.figures / "loss_and_decisions.png"

    @property
    def model(self) -> Path:
        """Folder of the adapted model, in Hugging Face format."""
        return self.path / "model"

    @property
    def report(self) -> Path:
        """The report, Markdown."""
        return self.path / "report.md"

    @property
    def page(self) -> Path:
        """The report as one HTML file."""
        return self.path / "report.html"

    @property
    def results(self) -> Path:
        """Of a comparison: every run of it, and what they come to."""
        return self.path / "results.json"

    @property
    def stop(self) -> Path:
        """What a person puts here to end the run."""
        return self.path / "STOP"

    @property
    def stop_requested(self) -> bool:
        """Whether a person has put a file `STOP` here."""
        return self.stop.exists()

    @property
    def shadow(self) -> Path:
        """What a person puts here to switch a run to shadow, and takes away to switch it back."""
        return self.path / "SHADOW"

    @property
    def shadow_requested(self) -> bool:
        """Whether a person has put a file `SHADOW` here."""
        return self.shadow.exists()

    @property
    def switches(self) -> Path:
        """A line for each switch to shadow or back: the round from which it holds."""
        return self.path / "switches.jsonl"

    def discard(self) -> None:
        """Remove the folder and all in it: nothing came of the run."""
        shutil.rmtree(self.path)

    def write_config(self, config: dict[str, Any]) -> None:
        """Write `config.json`: everything that decides the result."""
        text = json.dumps({"format": FORMAT, **config}, indent=2, allow_nan=False, ensure_ascii=False)
        # A lone surrogate (in the name of a file) becomes \udcff, which is how JSON spells it too.
        replace_synced(self.path / CONFIG, (text + "\n").encode(errors="backslashreplace"))

    def read_config(self) -> dict[str, Any]:
        """Read `config.json`; ValueError when it is damaged or of another format."""
        try:
            with (self.path / CONFIG).open("rb") as file:
                config = json.loads(file.read(MAX_LINE_BYTES).decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{self.path / CONFIG} is damaged: {error}") from error
        if not isinstance(config, dict) or config.get("format") != FORMAT:
            found = config.get("format") if isinstance(config, dict) else None
            raise ValueError(f"{self.path / CONFIG} has format {found!r}: this version reads {FORMAT}")
        return config


@contextmanager
def disk_mistakes(out: Path, command: str) -> Iterator[None]:
    """Within, a disk that is full or cannot be written is a mistake of the caller's (ValueError, one sentence)."""
    try:
        yield
    except OSError as error:
        if error.errno not in (ENOSPC, EDQUOT, EROFS, EFBIG):
            raise
        told = f"{out} cannot be written ({os.strerror(error.errno).lower()})"
        if not list((out / "checkpoints").glob("[0-9]*")):
            raise ValueError(f"{told}: give an --out where it can") from error
        raise ValueError(
            f"{told}; its checkpoints are kept: make room, and go on with olrl {command} --resume --out {out}"
        ) from error


class JsonLines:
    """Rows appended to a file, each on disk as soon as its round ends, so that a killed run keeps them.

    Made anew, or with `resume` gone on with. A number that is not finite is refused (ValueError): it has no form in
    JSON.
    """

    def __init__(self, path: Path, *, resume: bool = False) -> None:
        self._file: IO[bytes] = path.open("ab" if resume else "xb")

    def write(self, row: dict[str, Any]) -> None:
        """Append one row."""
        self._file.write((json.dumps(row, allow_nan=False, ensure_ascii=False) + "\n").encode())
        self._file.flush()

    def sync(self) -> int:
        """Let all rows survive a loss of power; the size of the file in bytes."""
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Close the file; writing afterwards raises ValueError."""
        self._file.close()


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """All rows of a file of JSON lines, as `iterate_json_lines` gives them."""
    return list(iterate_json_lines(path))


def iterate_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a file of JSON lines, one at a time; a last line cut off by a kill is left out.

    Raises ValueError for any other line that is no JSON object.
    """
    with path.open("rb") as file:
        for number, line in enumerate(bounded_lines(file, path), start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                if not line.endswith(b"\n"):
                    return
                raise ValueError(f"{path} line {number} is damaged: {error}") from error
            if not isinstance(row, dict):
                raise ValueError(f"{path} line {number} is no JSON object")
            yield row


def count_json_lines(path: Path) -> int:
    """How many rows `iterate_json_lines` gives if no line is damaged, counted without looking into them."""
    count, line = 0, b""
    with path.open("rb") as file:
        for line in bounded_lines(file, path):  # the last one is looked at below
            count += bool(line.strip())
    return count - (bool(line.strip()) and not line.endswith(b"\n") and not _is_json(line))


def bounded_lines(file: IO[bytes], path: Path) -> Iterator[bytes]:
    """Lines of a file; ValueError where one has no end, as in a file of zeros."""
    while line := file.readline(MAX_LINE_BYTES):
        if len(line) == MAX_LINE_BYTES:
            raise ValueError(f"{path} is damaged: it has a line of more than {MAX_LINE_BYTES >> 20} MiB")
        yield line


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def default_path(kind: str, name: str) -> Path:
    """`runs/<date>-<time>-<kind>-<name>`, the name reduced to letters, digits and dashes."""
    plain = "-".join("".join(c if c.isalnum() else " " for c in name).split()).lower()
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{kind}-{plain[:40] or 'run'}"
    path, again = Path("runs") / stem, 1
    while path.exists():
        again += 1
        path = Path("runs") / f"{stem}-{again}"
    return path
