"""Ways to damage what others read: bytes, JSON trees, files."""

import copy
import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

Path_ = tuple[Any, ...]

# Values that a leaf of a JSON document is replaced by; each is made when it is needed.
PLAIN: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**31, 2**53, 2**64, -(2**70), 10**400),
    *(1e308, -1e308, 1e-320, 0.1, 1.0, 3.7, [], {}, "", "x", "\ud800"),
    *("nan", "../../etc/passwd", "/dev/zero", "\0", "\x1b[2J", "ß" * 99),
)
VALUES: tuple[Callable[[], Any], ...] = (
    *(partial(copy.deepcopy, value) for value in PLAIN),
    lambda: "x" * 100_000,
    lambda: [0.0] * 100_000,
    lambda: [[1.0], [2.0, 3.0]],
    lambda: [1.0, 10**400],
    lambda: {"a": {"b": [None]}},
    lambda: nested(40),
    lambda: nested(900),
    lambda: {f"key {k}": k for k in range(1000)},
)
# Texts that no JSON value stands for.
RAW = ("NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, "[" * 100_000, "{", "1,", '"\\ud800"', "\x00")


def nested(depth: int) -> Any:
    """Lists in lists."""
    tree: Any = 0
    for _ in range(depth):
        tree = [tree]
    return tree


def places(tree: Any, at: Path_ = ()) -> Iterator[Path_]:
    """Paths of all values of a JSON tree, the root first."""
    yield at
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, child in children:
        yield from places(child, (*at, key))


def put(tree: Any, at: Path_, value: Any) -> Any:
    """The tree with another value at a place; the given one is not changed."""
    if not at:
        return value
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[at[0]] = put(copy[at[0]], at[1:], value)
    return copy


def damaged_json(rng: np.random.Generator, tree: Any, *, pick: Path_ | None = None) -> bytes:
    """A JSON document with one of its places changed, dropped, doubled or made no JSON."""
    everywhere = list(places(tree))
    at = everywhere[rng.integers(len(everywhere))] if pick is None else pick
    how = rng.random()
    if how < 0.6:
        return dump(put(tree, at, VALUES[rng.integers(len(VALUES))]()))
    if how < 0.75:
        text = dump(put(tree, at, "@place@")).decode()
        return text.replace('"@place@"', RAW[rng.integers(len(RAW))], 1).encode()
    if how < 0.85 and at:
        return dump(_without(tree, at))
    if how < 0.9:
        return dump(put(tree, at, {"of": "another kind"}))
    return damaged_bytes(rng, dump(tree))


def dump(tree: Any) -> bytes:
    """As JSON; 40,000-digit numbers and lone surrogates too."""
    return json.dumps(tree).encode()


def _without(tree: Any, at: Path_) -> Any:
    if len(at) > 1:
        return {**tree, at[0]: _without(tree[at[0]], at[1:])} if isinstance(tree, dict) else tree[:1]
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    del copy[at[0]]
    return copy


def damaged_bytes(rng: np.random.Generator, data: bytes) -> bytes:
    """Bits flipped, bytes cut out, doubled, or replaced by noise."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        start = int(rng.integers(len(changed) + 1))
        length = int(rng.integers(1, 1 + max(1, len(changed) // int(rng.choice([1, 10, 1000])))))
        match rng.integers(5):
            case 0 if changed:
                changed[min(start, len(changed) - 1)] ^= 1 << int(rng.integers(8))
            case 1:
                del changed[start : start + length]
            case 2:
                changed[start:start] = changed[start : start + length]
            case 3:
                changed[start : start + length] = rng.bytes(min(length, 4096))
            case _:
                del changed[start:]
    return bytes(changed)


def replaced_by_something_else(rng: np.random.Generator, path: Path) -> str:
    """Put no plain file where a file (or folder) is: a pipe, a device, a link, a folder, nothing, a huge one."""
    if path.is_dir():
        path.rename(path.with_name(path.name + ".away"))
    else:
        path.unlink(missing_ok=True)
    kinds = (
        "pipe",
        "zero",
        "random",
        "null",
        "loop",
        "dangling",
        "folder",
        "nothing",
        "empty",
        "huge",
        "zip",
    )
    kind = str(rng.choice(kinds))
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "zero" | "random" | "null":
            path.symlink_to({"zero": "/dev/zero", "random": "/dev/urandom", "null": "/dev/null"}[kind])
        case "loop":
            path.symlink_to(path.name)
        case "dangling":
            path.symlink_to("../../../../nowhere")
        case "folder":
            path.mkdir()
        case "empty":
            path.write_bytes(b"")
        case "huge":
            with path.open("wb") as file:
                file.truncate(1 << 40)  # takes no room on the disk
        case "zip":
            path.write_bytes(malicious_zip(path.parent / "touched"))
    return kind


def malicious_zip(touched: Path) -> bytes:
    """A zip as stable-baselines3 saves them, whose pickle makes the file `touched` when it is loaded."""
    import base64
    import io
    import zipfile

    pickle = b"cos\nsystem\n(S'touch " + str(touched).encode() + b"'\ntR."
    data = {"policy_class": {":type:": "<class 'type'>", ":serialized:": base64.b64encode(pickle).decode()}}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("data", json.dumps(data))
        archive.writestr("policy.pth", pickle)
        archive.writestr("pytorch_variables.pth", pickle)
        archive.writestr("_stable_baselines3_version", "2.6.0")
    return out.getvalue()
