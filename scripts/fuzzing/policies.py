"""The loader of policies: a sentence, or a policy that decides within bounds without a warning."""

import hashlib
import itertools
import json
import shutil
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from fuzzing.damage import VALUES, damaged_bytes, damaged_json, dump, places, put, replaced_by_something_else
from fuzzing.target import Broken, Target, sentence
from olrl.control.decision import WINDOWS, Base
from olrl.control.policy import load_policy
from olrl.decide import Decider
from olrl.task_kinds import TASKS

SHIPPED = Path(__file__).parents[2] / "olrl" / "policies" / "default"
BASE = Base(lr=1e-3, batch_size=8, window=8)
ASKED = 13  # the guard holds decisions against the range from the eleventh on


def _case(rng: np.random.Generator, folder: Path) -> str:
    policy = folder / "policy"
    shutil.copytree(SHIPPED, policy)
    how = rng.choice(["json", "json", "weights", "signed weights", "header", "file", "card", "folder"])
    match how:
        case "json":
            tree = json.loads((policy / "policy.json").read_bytes())
            (policy / "policy.json").write_bytes(damaged_json(rng, tree))
        case "weights":
            data = (policy / "policy.safetensors").read_bytes()
            (policy / "policy.safetensors").write_bytes(damaged_bytes(rng, data))
        case "signed weights":
            sign(policy, damaged_bytes(rng, (policy / "policy.safetensors").read_bytes()))
        case "header":
            sign(policy, with_header(rng, (policy / "policy.safetensors").read_bytes()))
        case "file":
            name = str(rng.choice(["policy.json", "policy.safetensors", "CARD.md"]))
            replaced_by_something_else(rng, policy / name)
        case "card":
            (policy / "CARD.md").write_bytes(rng.bytes(5000) + b"\x1b]0;title\x07\x1b[2J")
        case _:
            replaced_by_something_else(rng, policy)
    return asked(policy, str(how), task=str(rng.choice(TASKS)))


def asked(policy: Path, how: str, *, task: str) -> str:
    """Load a policy and let it decide."""
    try:
        decider = Decider(policy=load_policy(policy), base=BASE, task=task)
    except ValueError as error:
        sentence(error)
        if (policy.parent / "touched").exists() or (policy / "touched").exists():
            raise Broken("a pickle was run") from error
        return f"{how}: refused"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for k in range(ASKED):
            told = {"loss_nats": 2.0 + k % 3, "grad_norm": 1.0 + k, "grad_cos": 0.3, "price": 1e6}
            answer = decider.decide(told)
            if not (BASE.lr / 64 <= answer["lr"] <= BASE.lr * 64 and 1 <= answer["batch_size"] <= 64):
                raise Broken(f"out of bounds: {answer}")
            if answer["window"] not in WINDOWS:
                raise Broken(f"off the ladder: {answer}")
    return f"{how}: decides"


def sign(policy: Path, data: bytes) -> None:
    """Put weights into a policy together with their sha256, as one would who means it."""
    (policy / "policy.safetensors").write_bytes(data)
    tree = json.loads((policy / "policy.json").read_bytes())
    tree["weights"]["sha256"] = hashlib.sha256(data).hexdigest()
    (policy / "policy.json").write_bytes(dump(tree))


def with_header(rng: np.random.Generator, data: bytes) -> bytes:
    """A safetensors file with a damaged header: shapes, offsets, types, names, its own length."""
    length = int.from_bytes(data[:8], "little")
    tree = json.loads(data[8 : 8 + length])
    names = list(tree)
    name = names[rng.integers(len(names))]
    match rng.integers(6):
        case 0:
            header = damaged_json(rng, tree)
        case 1:
            shape = [[2**62, 4], [2**31, 2**31], [0], [-1], [1] * 100, [], [2**64, 0]][rng.integers(7)]
            header = dump(put(tree, (name, "shape"), shape))
        case 2:
            kinds = ["F64", "F16", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "C64", "X9"]
            header = dump(put(tree, (name, "dtype"), kinds[rng.integers(len(kinds))]))
        case 3:
            offsets = [[0, 2**63], [-4, 0], [4, 0], [0, 0], [2**70, 2**70 + 4]][rng.integers(5)]
            header = dump(put(tree, (name, "data_offsets"), offsets))
        case 4:
            header = dump({f"../../{name}": tree[name], "\0": tree[name], **tree})
        case _:
            header = data[8 : 8 + length]
            lie = [0, 1, 2**63, 2**64 - 1, len(data), 100 << 20][rng.integers(6)]
            return lie.to_bytes(8, "little") + data[8:]
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


@cache
def _every_leaf() -> tuple[tuple[Any, ...], ...]:
    return tuple(places(json.loads((SHIPPED / "policy.json").read_bytes())))


@cache
def _description() -> Any:
    return json.loads((SHIPPED / "policy.json").read_bytes())


_walk = itertools.count()


def _leaf(rng: np.random.Generator, folder: Path) -> str:
    """The places of policy.json in turn, so that none is left out, each with a value drawn."""
    at = _every_leaf()[next(_walk) % len(_every_leaf())]
    policy = folder / "policy"
    policy.mkdir()
    for name in ("policy.safetensors", "CARD.md"):
        (policy / name).symlink_to(SHIPPED / name)
    tree = put(_description(), at, VALUES[rng.integers(len(VALUES))]())
    (policy / "policy.json").write_bytes(dump(tree))
    return asked(policy, "leaf", task=str(rng.choice(TASKS)))


def _state(rng: np.random.Generator, folder: Path) -> str:
    """What `olrl decide --state` goes on from."""
    from olrl.decide_state import StateFile

    policy = load_policy(SHIPPED)
    decider = Decider(policy=policy, base=BASE)
    for k in range(5):
        decider.decide({"loss_nats": 2.0 + k / 10, "grad_norm": 1.0})
    path = folder / "state.json"
    path.write_bytes(damaged_json(rng, decider.state_dict()))
    if rng.random() < 0.1:
        replaced_by_something_else(rng, path)
    fresh = Decider(policy=policy, base=BASE)
    try:
        StateFile(path, fresh)
    except ValueError as error:
        sentence(error)
        return "refused"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer = fresh.decide({"loss_nats": 2.0})
    if not 0 < answer["lr"] <= BASE.lr * 64:  # after rollbacks the guard goes lower than a 64th
        raise Broken(f"out of bounds: {answer}")
    return "gone on with"


TARGETS = (
    Target(name="policy", case=_case),
    Target(name="policy-leaf", case=_leaf),
    Target(name="decide-state", case=_state),
)
