import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olrl.cli import execute
from olrl.control.decision import WINDOWS, Base
from olrl.control.guard import Guard
from olrl.control.policy import load_policy
from olrl.decide import MAX_LINE_BYTES, Decider, answer_lines
from olrl.decide_state import StateFile
from olrl.monitor.signals import Signals
from tests.deployed import elsewhere, untrained_policy

BASE = Base(lr=1e-3, batch_size=8, window=4)
PAGE = Path(__file__).parents[1] / "docs" / "decide.md"
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture
def decider(tmp_path: Path) -> Decider:
    return new_decider(tmp_path)


def new_decider(folder: Path) -> Decider:
    where = folder / "policy"
    return Decider(policy=load_policy(where if where.exists() else untrained_policy(where)), base=BASE)


def rows(count: int) -> list[dict[str, Any]]:
    """Signals of rounds, each with some missing; a loss that is not finite now and then."""
    rng = np.random.default_rng(0)
    made = []
    for k in range(count):
        row: dict[str, Any] = {
            "loss_nats": None if k % 17 == 11 else 2.0 + rng.normal() / 10,
            "grad_norm": float(rng.exponential()),
            "grad_cos": float(rng.uniform(-1, 1)),
            "train_loss_nats": 2.0,
            "alarms": ["adwin"] if k % 9 == 0 else [],
            "updates": 5,
            "gradient_age": k % 2,
        }
        gone = rng.random(len(row)) < 0.2
        made.append({name: row[name] for name, lost in zip(row, gone, strict=True) if not lost})
    return made


def answers(decider: Decider, content: bytes, **options: Any) -> list[dict[str, Any]]:
    out = io.StringIO()
    answer_lines(decider, io.BytesIO(content), out, **options)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def lines(given: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in given)


def test_decisions_are_those_of_the_controller_behind_the_guard(decider: Decider, tmp_path: Path) -> None:
    controller = load_policy(tmp_path / "policy").controller(base=BASE)
    guard = Guard(base=BASE, training_range=controller.training_range)
    last = BASE.decision()
    expected = []
    for row in rows(60):
        measured = {**row, "alarms": tuple(row.get("alarms", ()))}
        if "loss_nats" in row and row["loss_nats"] is None:
            measured["loss_nats"] = math.nan
        signals = Signals(lr=last.lr, batch_size=last.batch_size, window=last.window, **measured)
        last, reason = guard.check(
            controller.decide(signals), signals, of=controller, loss_withheld="loss_nats" not in row
        )
        expected.append(
            {
                "lr": last.lr,
                "batch_size": last.batch_size,
                "window": last.window,
                "update": last.update,
                "guard": reason,
            }
        )
    assert answers(decider, lines(rows(60))) == expected
    assert len({row["lr"] for row in expected}) > 3
    assert any(row["guard"] for row in expected)
    assert any(row["guard"] is None for row in expected)


def test_a_policy_is_held_against_its_training_range_on_the_task(tmp_path: Path) -> None:
    policy = load_policy(untrained_policy(tmp_path / "policy", training_range=elsewhere()))
    given = lines([{"loss_nats": 2.0 + k / 100} for k in range(13)])
    text, labels = (
        answers(Decider(policy=policy, base=BASE, task=task), given) for task in ("lm", "classify")
    )
    assert [bool(row["guard"] and "range" in row["guard"]) for row in text] == [False] * 11 + [True] * 2
    assert not any(row["guard"] and "range" in row["guard"] for row in labels)


def test_the_command_takes_the_task(tmp_path: Path) -> None:
    policy = untrained_policy(tmp_path / "policy", training_range=elsewhere())
    given = lines([{"loss_nats": 2.0 + k / 100} for k in range(13)])
    asked = ["olrl", "decide", "--base-lr", "1e-3", "--policy", str(policy)]
    reasons = {}
    for task in ("lm", "classify"):
        done = subprocess.run(
            [*asked, "--task", task],
            input=given,
            capture_output=True,
            check=True,
            env=ENVIRONMENT,
            timeout=60,
        )
        reasons[task] = [json.loads(line)["guard"] for line in done.stdout.splitlines()]
    assert "range" in reasons["lm"][-1]
    assert not any("range" in reason for reason in reasons["classify"] if reason)
    refused = subprocess.run(
        [*asked, "--task", "text"], input=given, capture_output=True, check=False, env=ENVIRONMENT, timeout=60
    )
    assert refused.returncode == 2
    assert b"task must be one of lm, classify, answer, not 'text'" in refused.stderr


def test_what_is_said_to_be_in_force_is_gone_on_from(decider: Decider) -> None:
    [answer] = answers(decider, b'{"loss_nats": 2.0, "lr": 0.008, "batch_size": 32.0, "window": 64}\n')
    assert answer["lr"] >= 0.004
    assert answer["batch_size"] >= 16
    assert WINDOWS.index(answer["window"]) >= WINDOWS.index(32)


def test_a_call_a_round_decides_as_one_process_does(tmp_path: Path) -> None:
    together = answers(new_decider(tmp_path), lines(rows(30)))
    apart = []
    for row in rows(30):
        decider = new_decider(tmp_path)
        state = StateFile(tmp_path / "state.json", decider)
        apart += answers(decider, lines([row]), before_answer=state.save)
    assert apart == together
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["policy", "state.json"]


def test_a_round_without_a_measured_loss_is_no_trouble_but_a_loss_that_is_null_is(decider: Decider) -> None:
    [left_out, null] = answers(decider, b'{"grad_norm": 1}\n{"loss_nats": null}\n')
    assert left_out["guard"] is None
    assert null["guard"] == "loss not finite"


@pytest.mark.parametrize("loss", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 400])
def test_a_loss_that_is_not_finite_reaches_the_guard(loss: str, decider: Decider) -> None:
    [answer] = answers(decider, f'{{"loss_nats": {loss}}}\n'.encode())
    assert answer["guard"] == "loss not finite"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'{"los_nats": 1, "x": 2}', "unknown signals 'los_nats', 'x'; known: loss_nats"),
        (b'{"loss_nats": "2.0"}', "signal 'loss_nats' must be a number or missing, not '2.0'"),
        (b'{"loss_nats": true}', "must be a number or missing, not True"),
        (b'{"lr": 0}', "signal 'lr' must be a number above 0, not 0"),
        (b'{"batch_size": 8.5}', "signal 'batch_size' must be a whole number of at least 1, not 8.5"),
        (b'{"window": -1}', "signal 'window' must be a whole number of at least 0, not -1"),
        (b'{"alarms": "adwin"}', "signal 'alarms' must be a list of names, not 'adwin'"),
        (b'{"alarms": [[]]}', "signal 'alarms' must be a list of names, not list"),
        (b'{"loss_nats": 1, "loss_nats": 2}', "a name is given twice"),
        (b"[1]", 'it must be an object such as {"loss_nats": 2.3}, not list'),
        (b"nothing", "it is no JSON"),
        (b"[" * 50_000, "it is nested too deeply"),
        (b'{"loss_nats": 2.0', "it is no JSON"),
        (b'{"\xff": 1}', "it is not UTF-8"),
        (b'{"\\ud800": 1}', "unknown signal '\\ud800'"),
        (b" " * MAX_LINE_BYTES + b"{}", "it has 65,538 bytes, more than 65,536"),
    ],
)
def test_a_bad_line_is_one_error_and_changes_nothing(line: bytes, told: str, tmp_path: Path) -> None:
    good = lines(rows(3))
    expected = answers(new_decider(tmp_path), good + lines(rows(2)))
    [*before, error, blank, after] = answers(new_decider(tmp_path), good + line + b"\n\n" + lines(rows(2)))
    assert [*before, blank, after] == expected
    assert set(error) == {"error"}
    assert error["error"].startswith("line 4: ")
    assert told in error["error"]


def test_strict_ends_at_the_first_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for strict, code, told in (((), 0, 3), (("--strict",), 2, 2)):
        piped = io.TextIOWrapper(io.BytesIO(b'{"grad_norm": 1}\n{"grad": 1}\n{"grad_norm": 1}\n'))
        monkeypatch.setattr("sys.stdin", piped)
        assert execute(["decide", "--base-lr", "1e-3", *strict]) == code
        said = capsys.readouterr()
        assert len(said.out.splitlines()) == told
        assert said.err == ""


def test_a_line_is_answered_before_the_next_one_is_written() -> None:
    command = ["olrl", "decide", "--base-lr", "1e-3"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(3):
            process.stdin.write('{"loss_nats": 2.0}\n')
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["guard"] is None
        process.stdin.close()
        assert process.wait(timeout=20) == 0


def test_a_reader_that_has_gone_is_no_traceback() -> None:
    command = "yes '{}' | head -5000 | olrl decide --base-lr 1e-3 | head -1"
    result = subprocess.run(command, shell=True, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert result.stderr == ""
    assert len(result.stdout.splitlines()) == 1


# --- the state file


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all values in a JSON tree, containers too."""
    yield path
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, child in children:
        yield from leaves(child, (*path, key))


def with_value(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[path[0]] = with_value(tree[path[0]], path[1:], value)
    return copy


def test_a_state_damaged_anywhere_is_refused_or_still_decides_within_bounds(tmp_path: Path) -> None:
    decider = new_decider(tmp_path)
    answers(decider, lines(rows(40)))
    whole = decider.state_dict()
    refused = 0
    value: Any
    with np.errstate(all="raise"):
        for path in leaves(whole):
            for value in (None, "nan", -1, 1e308, 10**400, [], {}, [[1e30]], True, "x" * 50):
                fresh = new_decider(tmp_path)
                try:
                    fresh.load_state_dict(json.loads(json.dumps(with_value(whole, path, value))))
                except ValueError:
                    refused += 1
                    continue
                answer = fresh.decide({"loss_nats": 2.0})
                assert 0 < answer["lr"] <= BASE.lr * 64  # after rollbacks the guard goes lower than a 64th
                assert 1 <= answer["batch_size"] <= 64
                assert answer["window"] in WINDOWS
    assert refused > 500


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no JSON"),
        (b"\x80\x04K\x01.", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"format": NaN}', "NaN is not a number"),
        (b"{}", "it is no state of format 2"),
        (b'{"format": 2}', "it was made with another policy"),
        (b" " * (1 << 20) + b"{}", "larger than 1 MiB"),
    ],
)
def test_another_file_is_no_state(content: bytes, told: str, tmp_path: Path, decider: Decider) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="cannot be gone on with") as error:
        StateFile(path, decider)
    assert told in str(error.value)
    assert path.read_bytes() == content


def test_a_state_of_another_base_policy_or_task_is_refused(tmp_path: Path) -> None:
    StateFile(tmp_path / "state.json", new_decider(tmp_path)).save()
    other = untrained_policy(tmp_path / "other", seed=1)
    for decider, told in (
        (Decider(policy=load_policy(tmp_path / "policy"), base=Base(lr=2e-3)), "with the base"),
        (Decider(policy=load_policy(other), base=BASE), "with another policy"),
        (
            Decider(policy=load_policy(tmp_path / "policy"), base=BASE, task="classify"),
            "for the task lm, not classify",
        ),
    ):
        with pytest.raises(ValueError, match=told):
            StateFile(tmp_path / "state.json", decider)


def test_a_pipe_and_a_device_are_no_state(tmp_path: Path, decider: Decider) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(ValueError, match="no plain file"):
            StateFile(path, decider)
    with pytest.raises(ValueError, match="there is no folder"):
        StateFile(tmp_path / "loop" / "state", decider)


# --- anything at all


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.binary(max_size=60) | st.from_regex(rb'\{"[a-z_]{1,12}": ?[-0-9eE.]{1,9}\}', fullmatch=True))
)
def test_whatever_comes_each_line_has_one_answer(tmp_path_factory: Any, given_lines: list[bytes]) -> None:
    folder = tmp_path_factory.getbasetemp() / "shared-decide"
    content = b"\n".join(given_lines)
    asked = [line for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
    told = answers(new_decider(folder), content)
    assert len(told) == len(asked)
    for answer in told:
        assert set(answer) in ({"error"}, {"lr", "batch_size", "window", "update", "guard"})


# --- the page


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def run_block(command: list[str], folder: Path) -> list[str]:
    result = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.splitlines()


def test_the_examples_for_the_shell_run_as_shown(tmp_path: Path) -> None:
    first, second = blocks("sh")
    shown = [json.loads(line) for line in blocks("json")[0].splitlines()]
    said = [json.loads(line) for line in run_block(["sh", "-c", first], tmp_path)]
    # Not the numbers, which are another policy's after each training.
    assert [set(answer) for answer in said] == [set(answer) for answer in shown]
    assert said[2]["error"].startswith(shown[2]["error"].removesuffix("..."))
    assert said[3]["guard"] == shown[3]["guard"]
    assert len(run_block(["sh", "-c", second], tmp_path)) == 3
    assert json.loads((tmp_path / "learner.json").read_text())["rounds"] == 3


@pytest.mark.parametrize(("language", "command"), [("perl", ["perl", "-e"]), ("js", ["node", "-e"])])
def test_the_examples_from_other_languages_run(language: str, command: list[str], tmp_path: Path) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    [program] = blocks(language)
    said = run_block([*command, program], tmp_path)
    assert len(said) == 3
    assert all("so train at" in line for line in said)
