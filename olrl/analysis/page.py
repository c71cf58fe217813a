"""A page of figures and tables as one HTML file that needs nothing else, and loads nothing."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2
    import plotly.graph_objects as go

NEEDED = ("plotly", "jinja2")
MISSING = "the HTML report needs plotly, which is not installed: pip install 'olrl[report]'"
# Of figures: plotly 7 has a button that sends a figure's data to its maker's server, unless it is told otherwise.
FIGURES = {"displaylogo": False, "showSendToCloud": False, "modeBarButtonsToRemove": ["sendChartToCloud"]}
_TEMPLATES = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a page: a heading, then whichever of these there are, in this order.

    Paragraphs of `text` have an empty line between them. `pictures` are names and what PNG files hold. `folded`
    tables are opened by a click.
    """

    title: str
    text: str = ""
    figure: "go.Figure | None" = None
    pictures: Sequence[tuple[str, bytes]] = ()
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
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    drawn = any(section.figure is not None for section in page.sections)
    shown = [
        {
            **_plain(section),
            "figure": None if section.figure is None else Markup(_drawn(section.figure)),
        }
        for section in page.sections
    ]
    text = (
        _environment()
        .get_template("report.html.j2")
        .render(
            page={**vars(page), "sections": shown},
            script=Markup(get_plotlyjs()) if drawn else None,
            style=Markup(shared_style()),
            version=version("olrl"),
        )
    )
    path.write_text(text, encoding="utf-8")
    return path


def tiles_html(page: Page) -> str:
    """The numbers at a page's head, escaped."""
    return str(_parts().tiles(vars(page)))


def section_html(section: Section) -> str:
    """What a section holds but its heading and its figure, escaped."""
    return str(_parts().content({**_plain(section), "figure": None}))


def shared_style() -> str:
    """The style sheet of tiles and sections."""
    return (_TEMPLATES / "parts.css").read_text(encoding="utf-8")


def _parts() -> Any:
    return _environment().get_template("parts.html.j2").module


def _environment() -> "jinja2.Environment":
    import jinja2

    loader = jinja2.FileSystemLoader(_TEMPLATES)
    return jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )


def _plain(section: Section) -> dict[str, Any]:
    names = ("id", "title", "text", "heads", "rows", "folded", "code")
    pictures = [(name, base64.b64encode(png).decode("ascii")) for name, png in section.pictures]
    return {**{name: getattr(section, name) for name in names}, "pictures": pictures}


def _drawn(figure: "go.Figure") -> str:
    """A figure's element and script; plotly writes <, > and / as escapes into the latter."""
    return str(
        figure.to_html(full_html=False, include_plotlyjs=False, config={**FIGURES, "responsive": True})
    )
