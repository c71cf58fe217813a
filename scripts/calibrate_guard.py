"""Shows what the range that a policy was trained in tells apart; measures one where the policy's file has none.

    python scripts/calibrate_guard.py                the policy that ships, by the range in its file
    python scripts/calibrate_guard.py DIR --write    measures `range` anew and writes it into DIR/policy.json

A range is measured on training streams. False alarms are counted on others, and faults are put into the signals
of those: `docs/guard-range.json` takes both, of text from the validation split, of labels from streams with other
numbers. The test split is never read.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from olrl.agents.training_range import SETTLING, RangeConfig, Recording, range_of, record
from olrl.control.guard import GuardSettings
from olrl.control.guard.out_of_range import MEASURED
from olrl.control.policy import load_policy
from olrl.control.training_range import TrainingRange
from olrl.monitor.feature_table import ROW

Floats = NDArray[np.float64]
FAULT_AT = 30  # round
FOUND_WITHIN = 20  # rounds
OTHER_LABELS = 1000  # number of the first stream of labels that no range is measured on

# What is done to the signals, shape (rounds, inputs, lanes), from the fault's first round on.
LOSSES = ("loss_nats", "loss_std", "old_new_gap")
GRADIENT = ("grad_norm", "grad_snr", "grad_cos", "update_ratio")


def _scaled(names: Sequence[str], factor: float) -> Callable[[Floats], None]:
    def fault(inputs: Floats) -> None:
        for name in names:
            inputs[:, ROW[name]] *= factor

    return fault


def _constant(names: Sequence[str]) -> Callable[[Floats], None]:
    def fault(inputs: Floats) -> None:
        for name in names:
            inputs[:, ROW[name]] = inputs[0, ROW[name]]

    return fault


def _swapped(one: str, other: str) -> Callable[[Floats], None]:
    def fault(inputs: Floats) -> None:
        rows = [ROW[one], ROW[other]]
        inputs[:, rows] = inputs[:, rows[::-1]]

    return fault


FAULTS: dict[str, Callable[[Floats], None]] = {
    "loss summed over 64 tokens, not their mean": _scaled(LOSSES, 64.0),
    "loss in bits, not nats": _scaled(LOSSES, 1 / np.log(2)),
    "loss a hundredfold": _scaled(("loss_nats",), 100.0),
    "grad_norm a hundredfold": _scaled(("grad_norm",), 100.0),
    "update_ratio a hundredfold": _scaled(("update_ratio",), 100.0),
    "all that is measured a hundredfold": _scaled((*LOSSES, "train_loss_nats", *GRADIENT), 100.0),
    "loss frozen": _constant(("loss_nats",)),
    "gradient signals constant": _constant(GRADIENT),
    "grad_norm and grad_snr swapped": _swapped("grad_norm", "grad_snr"),
    "grad_norm and update_ratio swapped": _swapped("grad_norm", "update_ratio"),
    "grad_cos and grad_snr swapped": _swapped("grad_cos", "grad_snr"),
    "hist_shift and grad_norm swapped": _swapped("hist_shift", "grad_norm"),
}
ZEROED = "all features zero"


def verdicts(seen: TrainingRange, recording: Recording, *, fault: str | None = None) -> NDArray[np.bool_]:
    """Whether each round of each lane is outside, shape (rounds, lanes), a fault being in from round 30 on.

    By the range as a guard has it that is told the task.
    """
    seen = seen.of_task(recording.task)
    inputs = recording.inputs.copy()
    if fault in FAULTS:
        FAULTS[fault](inputs[FAULT_AT:])
    observations = replace(recording, inputs=inputs).observations()
    if fault == ZEROED:
        observations[FAULT_AT:] = 0.0
    missing = np.isnan(inputs[:, [ROW[name] for name in MEASURED.values()]]).transpose(0, 2, 1)
    groups = np.array(list(MEASURED))
    return np.array(
        [
            [seen.trouble(x, missing=set(groups[gone])) is not None for x, gone in zip(*lanes, strict=True)]
            for lanes in zip(observations, missing, strict=True)
        ]
    )


def frozen(recording: Recording, fault: str) -> NDArray[np.bool_]:
    """Whether a signal has the bits of the three rounds before, shape (rounds, lanes): the guard's other check."""
    inputs = recording.inputs.copy()
    FAULTS[fault](inputs[FAULT_AT:])
    rows = [ROW[name] for name in ("loss_nats", "loss_std", "train_loss_nats", *GRADIENT)]
    trained = (inputs[:, ROW["updates"]] > 0) & (inputs[:, ROW["gradient_age"]] == 0)
    same = np.zeros(trained.shape, dtype=bool)
    for k in range(3, len(inputs)):
        equal = (inputs[k - 3 : k, rows] == inputs[k, rows]).all(axis=0).any(axis=0)
        same[k] = equal & trained[k - 3 : k + 1].all(axis=0)
    return same


def in_force(outside: NDArray[np.bool_], settings: GuardSettings) -> NDArray[np.bool_]:
    """The rounds in which the fallback would be in force, with hysteresis, shape (rounds, lanes)."""
    out = np.zeros(outside.shape, dtype=bool)
    for lane in range(outside.shape[1]):
        is_out, bad, good = False, 0, 0
        for k in range(SETTLING, len(outside)):
            bad, good = (bad + 1, 0) if outside[k, lane] else (0, good + 1)
            is_out = bad >= settings.enter or (is_out and good < settings.leave)
            out[k, lane] = is_out
    return out


def false_alarms(seen: TrainingRange, recordings: Sequence[Recording], *, lanes: slice) -> dict[str, float]:
    """Shares of rounds outside, and of those in which the fallback would be in force."""
    outside = [verdicts(seen, one)[:, lanes] for one in recordings]
    acting = [in_force(one, GuardSettings())[SETTLING:] for one in outside]
    rounds = sum(one.size for one in acting)
    return {
        "rounds": rounds,
        "outside": sum(int(one[SETTLING:].sum()) for one in outside) / rounds,
        "fallback": sum(int(one.sum()) for one in acting) / rounds,
    }


def detection(seen: TrainingRange, recordings: Sequence[Recording], fault: str) -> float:
    """Share of lanes in which the fallback is in force within 20 rounds of a fault, of those free before it."""
    found = of = 0
    for one in recordings:
        outside = verdicts(seen, one, fault=fault)
        acting = in_force(outside, GuardSettings())
        if fault != ZEROED:
            acting |= frozen(one, fault)
        free = ~acting[FAULT_AT - 1]
        of += int(free.sum())
        found += int((acting[FAULT_AT : FAULT_AT + FOUND_WITHIN].any(axis=0) & free).sum())
    return found / max(of, 1)


def figures(seen: TrainingRange, recordings: Sequence[Recording]) -> dict[str, Any]:
    """Both rates on recordings that the range was not measured on."""
    return {
        "false_alarms_all_lanes": false_alarms(seen, recordings, lanes=slice(None)),
        "false_alarms_tuned_base": false_alarms(seen, recordings, lanes=slice(0, 1)),
        "found_within_20_rounds": {name: detection(seen, recordings, name) for name in (*FAULTS, ZEROED)},
    }


def main() -> None:
    """Measure, show, and perhaps write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("policy", nargs="?", default="default")
    parser.add_argument(
        "--write", action="store_true", help="measure the range, and write it into the policy's folder"
    )
    parser.add_argument("--models", nargs="+", default=["pico", "nano"])
    parser.add_argument("--streams", type=int, default=10, help="training streams of each model")
    parser.add_argument("--labels", type=int, default=60, help="training streams of labels")
    parser.add_argument("--validation", type=int, default=6, help="validation streams of each model")
    parser.add_argument(
        "--other-labels", type=int, default=20, help="other streams of labels, from number 1000 on"
    )
    parser.add_argument("--rounds", type=int, default=80)
    parser.add_argument("--lanes", type=int, default=5, help="learners on each stream")
    parser.add_argument("--out", type=Path, default=None, help="a JSON file for the rates")
    args = parser.parse_args()
    torch.set_num_threads(1)
    policy = load_policy(args.policy)
    config = RangeConfig(
        models=tuple(args.models),
        streams=args.streams,
        labels=args.labels,
        rounds=args.rounds,
        lanes=args.lanes,
        seed=100,
    )

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    seen = policy.training_range
    if seen is None or args.write:
        seen = range_of(record(policy, config, progress=tell))
    if args.write:
        replace(policy, training_range=seen).save(args.policy)
    text = replace(config, split="validation", streams=args.validation, labels=0, seed=7)
    labels = replace(config, models=(), labels=args.other_labels, first_labels=OTHER_LABELS)
    found = {
        name: figures(seen, record(policy, one, progress=tell))
        for name, one in (("text", text), ("labels", labels))
        if one.labels or (one.models and one.streams)
    }
    told = json.dumps(found, indent=1)
    if args.out is not None:
        args.out.write_text(told + "\n", encoding="utf-8")
    print(told)


if __name__ == "__main__":
    main()
