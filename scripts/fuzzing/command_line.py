"""The command line: exit code 0, or 2 with one sentence; never a traceback."""

import contextlib
import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

from fuzzing.damage import damaged_bytes, damaged_json, malicious_zip, replaced_by_something_else
from fuzzing.policies import SHIPPED
from fuzzing.target import LONGEST, Broken, Target
from olrl.cli import execute

WORDS = (
    *(
        "",
        " ",
        "-",
        "--",
        "-1",
        "0",
        "1",
        "8",
        "nan",
        "inf",
        "-inf",
        "1e999",
        "1e-400",
        "9" * 5000,
        "0x10",
        "٣",
    ),
    *(
        "\x1b[2J",
        "\udcff",
        "a" * 10_000,
        "../..",
        "/dev/zero",
        "/dev/null",
        ".",
        "/",
        "default",
        "nano",
        "hf:",
        "hf:x",
    ),
    *(
        "builtin:",
        "builtin:\n",
        "policy",
        "stream.jsonl",
        "zip.zip",
        "run",
        "--help",
        "--version",
        "--nothing",
        "r=8",
    ),
    *("r=-1", "r=9999999999", "r=8,alpha=nan", "r=8,targets=", "cuda:99", "meta", "cpu:-1"),
)
# Without what would start a long run: of `run` and `train` only what has to be refused first is tried.
OPTIONS = {
    "decide": ("--policy", "--base-lr", "--base-batch", "--base-window", "--state", "--task", "--strict"),
    "inspect": (),
    "report": (),
    "export": ("--out",),
    "run": (
        *(
            "--stream",
            "--base-lr",
            "--base-batch",
            "--base-window",
            "--rounds",
            "--chunk",
            "--seq-len",
            "--budget",
        ),
        *("--price", "--lora", "--device", "--seed", "--controller", "--policy", "--shadow", "--task"),
    ),
}
# Where a run would begin, were all else right: there is no such stream.
FORCED = {"run": ["--stream", "nowhere.jsonl"], "decide": ["--base-lr", "1e-3"]}


def _case(rng: np.random.Generator, folder: Path) -> str:
    command = str(rng.choice(list(OPTIONS)))
    words = [command]
    for _ in range(int(rng.integers(0, 5))):
        if OPTIONS[command] and rng.random() < 0.7:
            words.append(str(rng.choice(OPTIONS[command])))
        words.append(WORDS[rng.integers(len(WORDS))])
    if rng.random() < 0.8:
        words += FORCED.get(command, [])
    _make_files(rng, folder)
    return f"{command} {_told(words, folder, piped=rng.bytes(200))}"


def _make_files(rng: np.random.Generator, folder: Path) -> None:
    """A policy, a zip, a stream and a run, some of them damaged."""
    (folder / "policy").mkdir()
    for path in SHIPPED.iterdir():
        data = path.read_bytes()
        (folder / "policy" / path.name).write_bytes(damaged_bytes(rng, data) if rng.random() < 0.2 else data)
    (folder / "zip.zip").write_bytes(malicious_zip(folder / "touched"))
    (folder / "stream.jsonl").write_bytes(damaged_bytes(rng, b'{"text": "a short row"}\n' * 5))
    run = folder / "run"
    run.mkdir()
    config = {"format": 1, "command": "train", "profile": "quick", "seed": 0, "recipe": {}}
    (run / "config.json").write_bytes(damaged_json(rng, config))


def _told(words: list[str], folder: Path, *, piped: bytes) -> str:
    out, err = io.StringIO(), io.StringIO()
    stdin = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(piped))
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = execute(words)
    except SystemExit as end:
        raise Broken(f"{words} left by SystemExit {end.code}") from end
    finally:
        sys.stdin = stdin
    said = err.getvalue()
    if code not in (0, 2) or (code == 2 and not said.startswith("olrl: ") and "--strict" not in words):
        raise Broken(f"{words}: exit code {code}, {said[:300]!r}")
    if said.count("\n") > 1 or len(said) > LONGEST or "Traceback" in said or "\x1b" in said + out.getvalue():
        raise Broken(f"{words}: said {said[:500]!r}")
    if (folder / "touched").exists():
        raise Broken(f"{words}: a pickle was run")
    return "done" if code == 0 else "refused"


def _report(rng: np.random.Generator, folder: Path) -> str:
    """`olrl report` on a run whose files were tampered with."""
    run = folder / "run"
    run.mkdir()
    decision: dict[str, Any] = {
        **{
            "round": 0,
            "loss_bpb": 2.5,
            "lr": 1e-3,
            "batch_size": 8,
            "window": 8,
            "update": True,
            "updates": 5,
        },
        **{"spent": 60.0, "guard": None, "drift": []},
    }
    chunk = {"round": 0, "source": "a", "segment": 0, "n_bytes": 128}
    config: dict[str, Any] = {
        **{"format": 1, "kind": "run", "base": {"lr": 1e-3, "batch_size": 8, "window": 8}},
        "run": {"stream": "a", "model": "nano", "controller": "policy", "budget": 64.0, "rounds": 4},
    }
    files: dict[str, list[dict[str, Any]]] = {
        "config.json": [config],
        "decisions.jsonl": [{**decision, "round": k} for k in range(4)],
        "stream.jsonl": [{**chunk, "round": k} for k in range(4)],
        "ending.json": [{"ended": "the stream ended", "seconds": 1.0, "dead_letters": {}}],
    }
    target = str(rng.choice(list(files)))
    for name, rows in files.items():
        lines = [json.dumps(row).encode() for row in rows]
        if name == target:
            k = rng.integers(len(lines))
            lines[k] = damaged_json(rng, rows[k])
        (run / name).write_bytes(b"\n".join(lines) + b"\n")
    if rng.random() < 0.15:
        replaced_by_something_else(rng, run / target)
    outcome = _told(["report", "run"], folder, piped=b"")
    shutil.rmtree(folder, ignore_errors=True)
    return f"{target} {outcome}"


def _import_all() -> None:
    """What commands import when they run: an import that fails for want of memory cannot be tried again."""
    import olrl.agents.ppo.command
    import olrl.analysis.report
    import olrl.run_command  # noqa: F401


TARGETS = (
    Target(name="command-line", case=_case, memory_bytes=2 << 30, prepare=_import_all),
    Target(name="report", case=_report, memory_bytes=2 << 30, prepare=_import_all),
)
