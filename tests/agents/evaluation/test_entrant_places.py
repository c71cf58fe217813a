from pathlib import Path

import pytest

from olrl.agents import fingerprint
from olrl.agents.evaluation import entrant_places
from olrl.agents.rivals.registry import ENTRANTS
from olrl.control.registry import CONTROLLERS


def names_of(name: str) -> set[str]:
    """Where an entrant's code lies, as room/file."""
    return {f"{place.parent.name}/{place.name}" for place in entrant_places.code_places(name)}


def test_imports_are_followed_through_the_upper_rooms_and_a_circle_ends(tmp_path: Path) -> None:
    room = tmp_path / "rivals"
    room.mkdir()
    (room / "drift_reset.py").write_text("from .shared import rise\nfrom ..beside import play\nimport json\n")
    (room / "shared.py").write_text("from . import deep\n")
    (room / "deep.py").write_text("from .drift_reset import x\n")
    (room / "other.py").write_text("")
    (tmp_path / "beside.py").write_text("")
    found = entrant_places._imported_by(room / "drift_reset.py")
    assert sorted(place.name for place in found) == ["beside.py", "deep.py", "drift_reset.py", "shared.py"]


@pytest.mark.parametrize("name", ENTRANTS)
def test_an_entrant_depends_on_its_own_code_and_on_no_training_or_other_rival(name: str) -> None:
    found = names_of(name)
    assert not [place for place in found if place.startswith(("hindsight/", "envs/"))]
    trained_by = {place for place in found if place.startswith("ppo/")}
    assert trained_by <= {"ppo/lean.py"}  # how an untrained one leans
    others = {f"rivals/{other.replace('-', '_')}.py" for other in ENTRANTS if other != name}
    assert found & others <= ({"rivals/policy.py"} if name in ("default", "vadam-policy") else set())
    rules = {f"control/{other.replace('-', '_')}.py" for other in CONTROLLERS if other != name}
    assert not found & rules


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("drift-reset", {"rivals/drift_reset.py", "rivals/rule.py", "control/drift_reset.py"}),
        ("random", {"rivals/random_actions.py"}),
        ("lr-only", {"rivals/one_knob.py"}),
        ("untrained", {"rivals/untrained.py", "ppo/lean.py"}),
        ("segment-best", {"rivals/search.py", "rivals/held.py", "evaluation/play.py"}),
    ],
)
def test_what_an_entrant_does_is_in_what_it_depends_on(name: str, needs: set[str]) -> None:
    assert needs <= names_of(name)


def test_how_settings_are_searched_changes_no_run_but_those_that_search() -> None:
    search = {name for name in ENTRANTS if "rivals/search.py" in names_of(name)}
    assert "search-hindsight" in search
    assert not search & {"base", "policy", "drift-reset", "cosine", "replay"}


def test_a_rule_is_no_code_of_every_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(name: str) -> str:
        return fingerprint.fingerprint(entrant_places.code_places(name), builtin=False)

    before = {name: run(name) for name in ("plateau", "bandit", "fixed")}
    mine = fingerprint._CORE / "control" / "plateau.py"
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + (b"#" if path == mine else b""))
    assert {name for name in before if run(name) != before[name]} == {"plateau"}


def test_tuned_settings_of_a_rival_are_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrant_places, "_TUNED", tmp_path)
    (tmp_path / "dqn").mkdir()
    for name in ("dqn/policy.json", "drift-reset.json", "hypergradient.json", "policy.json"):
        (tmp_path / name).write_text("{}")

    def tuned(name: str) -> set[Path]:
        return {*entrant_places.entrant_places(name)} - {*entrant_places.code_places(name)}

    assert tuned("drift-reset") == {tmp_path / "drift-reset.json"}
    assert tuned("dqn") == {tmp_path / "dqn"}
    assert tuned("policy") == {tmp_path / "policy.json"}  # and not that of dqn
