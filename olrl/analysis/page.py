"""A page of figures and tables as one HTML file that needs nothing else, and loads nothing."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import plotly.graph_objects as go

NEEDED = ("plotly", "jinja2")
MISSING = "the HTML report needs plotly, which is not installed: pip install 'olrl[report]'"
_TEMPLATE = Path(__file__).with_name("report.html.j2")


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a page: a heading, then whichever of these there are, in this order.

    `pictures` are names and PNG files. `folded` tables are opened by a click.
    """

    title: str
    text: str = ""
    figure: "go.Figure | None" = None
    pictures: Sequence[tuple[str, Path]] = ()
    heads: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    folded: bool = False
    code: str = ""

    @property
    def id(self) -> str:
        """The title as an anchor."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a page says; `tiles` are the numbers at its head, each a name and a value."""

    title: str
    sentence: str
    tiles: Sequence[tuple[str, str]]
    sections: Sequence[Section] = field(default_factory=list)
    holds_text: bool = False


def can_draw() -> bool:
    """Whether what a page is made with is installed."""
    from importlib.util import find_spec

    return all(find_spec(name) is not None for name in NEEDED)


def write_page(page: Page, path: Path) -> Path:
    """Write a page, about 5 MB with figures (the library that draws them is in it); ImportError without plotly.

    Every word is escaped; whatever a stream, a file or a reason is called, it is shown as it is called.
    """
    if not can_draw():
        raise ImportError(MISSING)
    import jinja2
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    drawn = any(section.figure is not None for section in page.sections)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    shown = [
        {
            **{
                name: getattr(section, name)
                for name in ("id", "title", "text", "heads", "rows", "folded", "code")
            },
            "figure": None if section.figure is None else Markup(_drawn(section.figure)),
            "pictures": [(name, _encoded(file)) for name, file in section.pictures],
        }
        for section in page.sections
    ]
    text = template.render(
        page={**vars(page), "sections": shown},
        script=Markup(get_plotlyjs()) if drawn else None,
        version=version("olrl"),
    )
    path.write_text(text, encoding="utf-8")
    return path


def _drawn(figure: "go.Figure") -> str:
    """A figure's element and script; plotly writes <, > and / as escapes into the latter."""
    return str(
        figure.to_html(
            full_html=False, include_plotlyjs=False, config={"displaylogo": False, "responsive": True}
        )
    )


def _encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode("ascii")
