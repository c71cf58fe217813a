"""What `olrl report` writes, for whichever kind of folder it is given."""

from pathlib import Path
from typing import NamedTuple

from olrl.analysis.liveness import kind_of
from olrl.analysis.overview import read_overview
from olrl.analysis.page import MISSING, can_draw
from olrl.analysis.report import against as sentence_against
from olrl.analysis.report import write_report
from olrl.run_folder import RunFolder


class Written(NamedTuple):
    """What was written, and what there is to say about it."""

    files: list[Path]
    missing: str | None = None  # of a file that could not be written
    told: str = ""  # how the run did against the other, a sentence


def write_folder_report(path: Path, *, against: Path | None = None, show_text: bool = False) -> Written:
    """Write the report of a folder.

    Of a run: `report.md` with its figure, and `report.html`; `against` is the folder of a run of the same chunks.
    Of a comparison or a training: `report.html`, beside the `report.md` that it wrote itself. ValueError for
    another folder.
    """
    folder = RunFolder.open(path)
    kind = kind_of(folder)
    if kind in ("train", "compare"):
        what = "a comparison" if kind == "compare" else "a training"
        if against is not None or show_text:
            raise ValueError(f"{path} is {what}: --against and --show-text are for the folder of a run")
        write = _comparison if kind == "compare" else _training
        return Written([], MISSING) if not can_draw() else Written([write(folder)])
    if not folder.decisions.is_file():
        raise ValueError(
            f"{path} holds neither decisions.jsonl of a run, nor results.json of a comparison, nor a training: "
            "nothing to report"
        )
    overview = read_overview(folder, against=None if against is None else RunFolder.open(against))
    written, told = [write_report(folder, overview)], sentence_against(overview).strip()
    if not can_draw():
        return Written(written, MISSING, told)
    from olrl.analysis.run_page import write_run_page

    return Written([*written, write_run_page(folder, overview, show_text=show_text)], told=told)


def _training(folder: RunFolder) -> Path:
    from olrl.analysis.training_page import write_training_page

    return write_training_page(folder)


def _comparison(folder: RunFolder) -> Path:
    from olrl.analysis.compare_page import write_compare_page

    return write_compare_page(folder)
