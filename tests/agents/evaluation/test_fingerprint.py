from pathlib import Path

import pytest

from olrl.agents.evaluation import fingerprint


@pytest.fixture
def rivals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A room with two rivals, of which one imports a third module."""
    folder = tmp_path / "rivals"
    folder.mkdir()
    (folder / "drift_reset.py").write_text(
        "from .shared import rise\nfrom ..beside import play\nimport json\n"
    )
    (folder / "shared.py").write_text("from . import deep\n")
    (folder / "deep.py").write_text("from .drift_reset import x\n")  # a circle must end
    (folder / "other.py").write_text("")
    (tmp_path / "beside.py").write_text("")
    monkeypatch.setattr(fingerprint, "_RIVALS", folder)
    monkeypatch.setattr(fingerprint, "_TUNED", tmp_path)
    return folder


def test_a_rival_depends_on_its_own_code_and_not_on_that_of_others(rivals: Path) -> None:
    names = [place.name for place in fingerprint.entrant_places("drift-reset")]
    assert sorted(names) == ["beside.py", "deep.py", "drift_reset.py", "shared.py"]


def test_a_rival_whose_module_has_another_name_depends_on_all(rivals: Path) -> None:
    names = {place.name for place in fingerprint.entrant_places("random")}
    assert names == {path.name for path in rivals.glob("*.py")}


def test_tuned_settings_of_a_rival_are_its_own(rivals: Path) -> None:
    for name in ("drift-reset.json", "drift-reset-nano.json", "hypergradient.json"):
        (rivals.parent / name).write_text("{}")
    places = [place.name for place in fingerprint.entrant_places("drift-reset") if place.suffix == ".json"]
    assert sorted(places) == ["drift-reset-nano.json", "drift-reset.json"]
