"""What is imported by what, asked in fresh processes: a test process has everything loaded already."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "transformers", "gymnasium", "stable_baselines3", "matplotlib", "river", "pandas")
ENVIRONMENTS = ("gymnasium", "stable_baselines3", "olrl.envs", "olrl.agents")


def run_python(code: str, *, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=cwd, timeout=120)


def loaded_after(code: str, names: tuple[str, ...]) -> list[str]:
    """Which of `names` a fresh process has imported after running `code`."""
    report = f"import sys\n{code}\nprint('loaded:', *[name for name in {names!r} if name in sys.modules])"
    result = run_python(report)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()[-1].split()[1:]


@pytest.mark.parametrize(
    "code",
    [
        "import olrl",
        "from olrl import Base, Decision, Signals, load_policy",
        "import olrl.control.policy",
        "from olrl.cli import app",
    ],
)
def test_what_everybody_imports_is_light(code: str) -> None:
    assert loaded_after(code, HEAVY) == []


def test_a_policy_is_loaded_and_decides_without_torch() -> None:
    code = (
        "import olrl\n"
        "base = olrl.Base(lr=1e-3)\n"
        "controller = olrl.load_policy('default').controller(base=base)\n"
        "controller.decide(olrl.Signals(loss_nats=2.0, lr=1e-3, batch_size=8, window=8))"
    )
    assert loaded_after(code, HEAVY) == []


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["decide", "--help"], ["inspect", "--help"]]
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        f"from olrl.cli import main\nsys.argv = ['olrl', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code"
    )
    assert loaded_after(code, HEAVY) == []


def test_help_lists_the_commands_of_the_agents_without_importing_them() -> None:
    code = "from olrl.cli import main\nimport sys\nsys.argv = ['olrl', '--help']\nmain()"
    text = run_python(code).stdout
    assert [name for name in ("run", "inspect", "train", "compare", "export") if name not in text] == []


def test_the_core_deploys_without_environments() -> None:
    # Every module of the core, so that a new one is held to it too.
    code = (
        "import importlib\nfrom pathlib import Path\n"
        "root = Path('olrl')\n"
        "for path in sorted(root.rglob('*.py')):\n"
        "    if path.parts[1] not in ('envs', 'agents'):\n"
        "        parts = path.with_suffix('').parts\n"
        "        importlib.import_module('.'.join(parts).removesuffix('.__init__'))"
    )
    assert loaded_after(code, ENVIRONMENTS) == []


def test_the_import_contract_leaves_no_module_of_the_core_out() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (held,) = (c["source_modules"] for c in contracts if "gymnasium" in c.get("forbidden_modules", ()))
    children = [
        path for path in (ROOT / "olrl").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    ]
    core = {f"olrl.{path.stem}" for path in children} - {"olrl.__init__", "olrl.envs", "olrl.agents"}
    assert core == set(held)


@pytest.mark.parametrize("folder", ["envs", "agents"])
def test_the_folders_are_refused_under_their_bare_names(folder: str) -> None:
    # Imported from the repository's root as `envs`, every module of it would exist twice.
    result = run_python(f"import {folder}")
    assert result.returncode != 0
    assert f"ImportError: import olrl.{folder}, not {folder}" in result.stderr


@pytest.mark.parametrize("folder", ["envs", "agents"])
def test_the_links_lead_where_the_code_lies(folder: str) -> None:
    link = ROOT / "olrl" / folder
    assert link.is_symlink()
    assert link.readlink() == Path("..") / folder
