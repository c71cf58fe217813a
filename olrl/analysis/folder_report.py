"""What `olrl report` writes, for whichever kind of folder it is given."""

from pathlib import Path

from olrl.analysis.liveness import kind_of
from olrl.analysis.overview import read_overview
from olrl.analysis.page import MISSING, can_draw
from olrl.analysis.report import write_report
from olrl.run_folder import RunFolder


def write_folder_report(
    path: Path, *, against: Path | None = None, show_text: bool = False
) -> tuple[list[Path], str | None]:
    """The files written, and what to say of one that could not be.

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
        return ([], MISSING) if not can_draw() else ([write(folder)], None)
    if not folder.decisions.is_file():
        raise ValueError(
            f"{path} holds neither decisions.jsonl of a run, nor results.json of a comparison, nor a training: "
            "nothing to report"
        )
    overview = read_overview(folder, against=None if against is None else RunFolder.open(against))
    written = [write_report(folder, overview)]
    if not can_draw():
        return written, MISSING
    from olrl.analysis.run_page import write_run_page

    return [*written, write_run_page(folder, overview, show_text=show_text)], None


def _training(folder: RunFolder) -> Path:
    from olrl.analysis.training_page import write_training_page

    return write_training_page(folder)


def _comparison(folder: RunFolder) -> Path:
    from olrl.analysis.compare_page import write_compare_page

    return write_compare_page(folder)
