"""`olrl features`: the selection, its file, and what is told of it."""

from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from rich.table import Table

from olrl.monitor.feature_set import HAND_MADE, SelectedSet

from ..bars import Bars
from .recorded import read_recorded
from .scores import MEASURES
from .select import SelectConfig, select_features
from .spec_file import write_feature_set


def select_and_tell(runs: Sequence[Path], config: SelectConfig, *, out: Path, bars: Bars) -> SelectedSet:
    """Select from the runs in these folders, write the spec, and print what was selected.

    ValueError, in one sentence, for folders without hindsight runs, and without the package scikit-learn.
    """
    if find_spec("sklearn") is None:
        raise ValueError("this needs the package scikit-learn: install it with pip install 'olrl[features]'")
    if not out.parent.is_dir():
        raise ValueError(f"there is no folder {out.parent} to write {out.name} into")
    recorded = read_recorded(runs)
    bars.part("selection", config.bootstraps)
    features = select_features(recorded, config, progress=bars.step)
    selection = {
        **asdict(config),
        "streams": len(recorded),
        "versions": {name: version(name) for name in ("olrl", "numpy", "scikit-learn")},
    }
    write_feature_set(out, features, selection=selection)
    bars.console.print(_table(features))
    bars.say(
        f"{len(features)} features of {len(recorded)} streams' runs ({len(HAND_MADE)} are made by hand), in {out}; "
        f"train on them: olrl train --features {out}"
    )
    return features


def _table(features: SelectedSet) -> Table:
    table = Table(title="Selected features: how often chosen, and per cent of what all candidates tell")
    table.add_column("feature")
    for head in ("stability", *MEASURES):
        table.add_column(head.replace("_", " "), justify="right")
    for one in features.features:
        shares = [f"{100 * one.scores[name]:.1f}" for name in MEASURES]
        table.add_row(one.candidate.name, f"{one.scores['stability']:.2f}", *shares)
    return table
