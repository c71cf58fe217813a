"""Kills of `olrl run`, over every kind of stream."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

from kills.again import Told, kill_and_resume
from kills.compare import run_differences
from kills.forked import Forked

KINDS = ("file", "folder", "builtin", "standard input", "followed file")
_LETTERS = "etaoinshrdlu mwfgy "


class RunSubject:
    """A short run on a stream of one kind; `rounds` chunks of 4 × 32 bytes, a checkpoint every two rounds."""

    def __init__(self, kind: str, *, rounds: int, seed: int, scratch: Path, settings: list[str]) -> None:
        self.kind = kind
        self._rng = random.Random(f"{kind} {seed}")
        self._place = scratch / kind.replace(" ", "-")
        self._place.mkdir(parents=True)
        self._content = _rows(self._rng, n_bytes=rounds * 200)
        self._settings = [
            *("--chunk", "4", "--seq-len", "32", "--rounds", str(rounds), "--checkpoint-every", "2"),
            *settings,
        ]
        self._stream, self._grown = self._prepare()
        self.reference = self._place / "reference"

    def _prepare(self) -> tuple[str, Path | None]:
        if self.kind == "builtin":
            return "builtin:drift", None
        if self.kind == "folder":
            folder = self._place / "texts"
            (folder / "more").mkdir(parents=True)
            third = len(self._content) // 3
            for name, part in (("a.jsonl", 0), ("more/c.jsonl", 1)):
                (folder / name).write_bytes(self._content[part * third : (part + 1) * third])
            (folder / "b.txt").write_text(_paragraphs(self._rng, n_bytes=third))
            return str(folder), None
        path = self._place / "all.jsonl"
        path.write_bytes(self._content)
        if self.kind == "standard input":
            return "-", path
        return str(path), None

    def play_reference(self, log: Path) -> float:
        """Run without a kill; how long it took, seconds."""
        import time

        started = time.monotonic()
        code = self._start(self.reference, resume=False, log=log).wait(3600)
        if code != 0:
            raise RuntimeError(f"the run on a {self.kind} ended with {code} without a kill; see {log}")
        return time.monotonic() - started

    def _start(self, out: Path, *, resume: bool, log: Path, follow: Path | None = None) -> Forked:
        stream = str(follow or self._stream)
        extra = ["--follow"] if follow else ["--spool"] if self.kind == "standard input" else []
        args = ["run", "--stream", stream, *self._settings, *extra, "--out", str(out)]
        stdin = None
        if self.kind == "standard input":  # whoever writes goes on behind the last line that was taken
            assert self._grown is not None
            stdin = (self._grown, _whole_lines(out / "spool"))
        return Forked([*args, *(["--resume"] if resume else [])], log=log, stdin=stdin)

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
        """A run that is killed at random moments until it is through, or has been killed so often.

        `told` hears of each kill; the result says how often it was, and what differs from the reference.
        """
        out, rounds = self._place / name, list[int]()
        follow = self._place / f"{name}-stream" / "all.jsonl" if self.kind == "followed file" else None
        if follow is not None:
            follow.parent.mkdir()
            follow.touch()

        def killed() -> None:
            rounds.append(_lines(out / "decisions.jsonl"))
            told(self.kind)

        code = kill_and_resume(
            lambda resume: self._start(out, resume=resume, log=log, follow=follow),
            out,
            kills=kills,
            longest_s=longest_s,
            rng=rng,
            killed=killed,
            meanwhile=_Growing(follow, self._content, rng) if follow is not None else lambda: None,
        )
        differs = ["its exit code"] if code else run_differences(self.reference, out)
        if not differs:
            shutil.rmtree(out)
        return {
            "stream": self.kind,
            "kills": len(rounds),
            "rounds_at_kills": rounds,
            "code": code,
            "differs": differs,
        }


class _Growing:
    """Appends to a file now and then, lines cut anywhere."""

    def __init__(self, path: Path, content: bytes, rng: random.Random) -> None:
        self._path, self._content, self._rng = path, content, rng

    def __call__(self) -> None:
        if self._content and self._rng.random() < 0.05:
            size = self._rng.randrange(1, 3_000)
            with self._path.open("ab") as file:
                file.write(self._content[:size])
            self._content = self._content[size:]


def _rows(rng: random.Random, *, n_bytes: int) -> bytes:
    """JSON lines, some useless, some repeated, with `n_bytes` of new text: a follower waits for ever for less."""
    rows: list[bytes] = []
    new = 0
    while new < n_bytes:
        text = "".join(rng.choices(_LETTERS, k=rng.randrange(20, 400)))
        new += len(text)
        rows += [json.dumps({"text": text}).encode()] * (6 if rng.random() < 0.05 else 1)
        if rng.random() < 0.2:
            rows.append(rng.choice([b"{", b'{"text": 7}', b'{"text": "\xff"}', b'{"text": ""}', b"[" * 3000]))
    return b"\n".join(rows) + b"\n"


def _paragraphs(rng: random.Random, *, n_bytes: int) -> str:
    lines = ["".join(rng.choices(_LETTERS, k=rng.randrange(0, 120))).strip() for _ in range(n_bytes // 50)]
    return "\n".join(lines) + "\n"


def _whole_lines(spool: Path) -> int:
    return spool.read_bytes().rfind(b"\n") + 1 if spool.exists() else 0


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0
