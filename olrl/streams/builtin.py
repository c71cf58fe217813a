"""The builtin domains: real text that an installation of this project already holds.

Text is read from the user's own installation, under the licences of the packages there, and never
redistributed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from olrl.streams import languages
from olrl.streams.distributions import dependencies, licences, readmes
from olrl.streams.installed import docstrings, package_files, source_code, standard_library
from olrl.streams.pieces import Piece, cut, in_hash_order

_TESTS = r"/tests?/|/test_[^/]*$|conftest"


@dataclass(frozen=True, kw_only=True)
class Domain:
    """A kind of text: its name, what it is, where its pieces come from.

    `held_out` domains lie in the test split only: no model and no policy that ships has seen any of them.
    """

    name: str
    about: str
    pieces: Callable[[], Iterator[Piece]]
    held_out: bool = False


def _manual() -> Iterator[Piece]:
    try:
        from pydoc_data.topics import topics
    except ImportError:  # some distributions package it separately
        return
    for name in in_hash_order(topics, key=str):
        yield from (Piece(text=part, group=f"manual/{name}", shelf="manual") for part in cut(topics[name]))


def _language(name: str, spoken: str, locales: str, *, held_out: bool = False) -> Domain:
    return Domain(
        name=name,
        about=f"{name.capitalize()}: dialogue, sentences, names and words",
        pieces=lambda: languages.language(spoken.split(), locales.split()),
        held_out=held_out,
    )


# In order of precedence: of two near-duplicates, the one in the earlier domain stays.
DOMAINS: tuple[Domain, ...] = (
    Domain(name="manual", about="the Python language manual, prose", pieces=_manual),
    Domain(name="medical", about="diagnoses of the ICD-10-CM with their notes", pieces=languages.medical),
    Domain(
        name="dialogue", about="English conversations and quiz questions", pieces=languages.english_dialogue
    ),
    Domain(
        name="licences",
        about="licence and notice texts of the dependencies",
        pieces=lambda: licences(dependencies()),
        held_out=True,
    ),
    Domain(
        name="readmes",
        about="long descriptions of the dependencies, Markdown and reStructuredText",
        pieces=lambda: readmes(dependencies()),
    ),
    Domain(
        name="docstrings",
        about="docstrings of numerical Python packages",
        pieces=lambda: docstrings(
            package_files(["numpy", "scipy", "networkx", "matplotlib"], ".py", drop=_TESTS)
        ),
    ),
    Domain(
        name="modeldocs",
        about="docstrings of transformers, Markdown",
        pieces=lambda: docstrings(package_files(["transformers"], ".py", drop=_TESTS)),
    ),
    Domain(name="stdlib", about="Python code of the standard library", pieces=standard_library),
    Domain(
        name="algebra",
        about="Python code of sympy",
        pieces=lambda: source_code(package_files(["sympy"], ".py", drop=_TESTS)),
    ),
    Domain(
        name="tests",
        about="test code of scipy and networkx, mostly assertions and numbers",
        pieces=lambda: source_code(package_files(["scipy", "networkx"], ".py", keep=_TESTS)),
    ),
    Domain(
        name="headers",
        about="C++ headers of torch",
        pieces=lambda: source_code(package_files(["torch"], ".h", keep="torch/include/")),
        held_out=True,
    ),
    Domain(
        name="stubs",
        about="type stubs of torch, numpy, scipy and matplotlib",
        pieces=lambda: source_code(package_files(["torch", "numpy", "scipy", "matplotlib"], ".pyi")),
    ),
    Domain(name="operators", about="declarations of torch's operators, YAML", pieces=languages.operators),
    _language("dutch", "dutch", "nl nl-be"),
    _language("french", "french", "fr"),
    _language("spanish", "spanish", "es es-mx"),
    _language("portuguese", "portuguese", "pt pt-br"),
    _language("italian", "italian", "it", held_out=True),
    _language("russian", "russian", "ru"),
    _language("ukrainian", "ukrainian", "uk"),
    _language("persian", "persian", "fa"),
    _language("korean", "korean", "ko"),
    _language("japanese", "japanese", "ja", held_out=True),
)
