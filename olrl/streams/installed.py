"""Text found inside installed packages and the standard library, without importing them."""

import ast
import importlib.util
import inspect
import re
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from olrl.streams.pieces import Piece, cut, in_hash_order

_LEADING_COMMENT = re.compile(r"\A(?:\s*(?:#[^\n]*|//[^\n]*|/\*.*?\*/|)\n)+", re.DOTALL)
# Parts of the standard library that some distributions package separately.
_NOT_EVERYWHERE = {
    "distutils",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "tkinter",
    "turtledemo",
    "venv",
    "__pycache__",
}


def folder_of(package: str) -> Path | None:
    """Where a top-level package lies, or None if it is not installed."""
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def package_files(
    packages: Iterable[str], suffix: str, *, keep: str = "", drop: str = r"$^"
) -> list[tuple[str, Path]]:
    """(group, path) of the files of `packages` that end in `suffix`, in an order that only names decide.

    Paths that match the pattern `drop`, or do not match `keep`, are left out; missing packages too.
    """
    found = []
    for package in packages:
        folder = folder_of(package)
        if folder is None:
            continue
        for path in folder.rglob(f"*{suffix}"):
            group = f"{package}/{path.relative_to(folder).as_posix()}"
            if re.search(keep, group) and not re.search(drop, group):
                found.append((group, path))
    return in_hash_order(found, key=lambda pair: pair[0])


def source_code(files: Iterable[tuple[str, Path]]) -> Iterator[Piece]:
    """Program text, cut between definitions; the comment at a file's head (mostly a licence) is left out."""
    for group, path in files:
        text = path.read_text(encoding="utf-8", errors="ignore")
        for part in cut(_LEADING_COMMENT.sub("", text, count=1)):
            yield Piece(text=part.strip("\n"), group=group, shelf=group)


def standard_library() -> Iterator[Piece]:
    """The Python code of the standard library, as far as every distribution has it."""
    root = Path(sysconfig.get_paths()["stdlib"])
    files = [(f"stdlib/{path.relative_to(root).as_posix()}", path) for path in root.rglob("*.py")]
    files = [(group, path) for group, path in files if not _NOT_EVERYWHERE & set(group.split("/"))]
    return source_code(in_hash_order(files, key=lambda pair: pair[0]))


def docstrings(files: Iterable[tuple[str, Path]], *, min_length: int = 200) -> Iterator[Piece]:
    """Docstrings of modules, classes and functions, of at least `min_length` characters."""
    for group, path in files:
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, ValueError):
            continue  # templates and deliberately broken test files
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = inspect.cleandoc(ast.get_docstring(node, clean=False) or "")
                if len(text) >= min_length:
                    yield from (Piece(text=part, group=group, shelf=group) for part in cut(text))
