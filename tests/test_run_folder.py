import time
from pathlib import Path

import pytest

from olrl.run_folder import RunFolder, default_path


def test_an_empty_folder_is_taken_and_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    assert RunFolder.create(tmp_path / "run").path.stat().st_mode & 0o777 == 0o700


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ValueError, match="holds other files"):
        RunFolder.create(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 99}', '{"run": {}}'])
def test_a_config_of_another_format_is_refused(tmp_path: Path, content: str) -> None:
    folder = RunFolder.create(tmp_path / "run")
    (folder.path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json (is damaged|has format)"):
        RunFolder.open(folder.path).read_config()


def test_two_runs_in_one_second_have_different_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda form: "20260102-030405")
    first = default_path("run", "base mail.jsonl")
    first.mkdir(parents=True)
    assert [first.name, default_path("run", "base mail.jsonl").name] == [
        "20260102-030405-run-base-mail-jsonl",
        "20260102-030405-run-base-mail-jsonl-2",
    ]
