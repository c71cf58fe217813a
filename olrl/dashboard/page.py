"""The page itself, as streamlit runs it: from top to bottom, whenever somebody clicks and every few seconds.

Whatever comes from a folder is shown as text: escaped by the report's templates, by the figures, or in elements
that take no markup. The text of a stream is not among what is read.
"""

import sys
import time
from html import escape
from pathlib import Path
from typing import Any

import streamlit as st

from olrl.analysis.liveness import Liveness, liveness
from olrl.analysis.page import FIGURES, Page, Section, section_html, shared_style, tiles_html
from olrl.dashboard.controls import Action, actions
from olrl.dashboard.folders import Glance, ascii_safe, comparable, glance, runs_in
from olrl.dashboard.followed import followed
from olrl.run_folder import RunFolder

EVERY_S, EVERY_OVER_S = 2, 30  # between two looks, at what goes on and at what is over
SHARE = 3  # a look takes a third of that at most, or looks become rarer: one that is overtaken shows nothing
MISTAKES = (ValueError, OSError, LookupError, TypeError, AttributeError, ArithmeticError)
COLOURS = {"running": "#009E73", "silent": "#E69F00", "dead": "#D55E00", "over": "#0072B2"}
STYLE = """
.state { display: inline-block; border-radius: 1rem; padding: .05rem .8rem; margin-right: .6rem; color: white; }
.state { font-weight: 600; }
[data-testid="stMainBlockContainer"] { padding-top: 2rem; max-width: 80rem; }
[data-testid="stSidebar"] p { overflow-wrap: anywhere; }
h1 { font-size: 1.5rem !important; } h2 { font-size: 1.15rem !important; border-bottom: 1px solid #ddd; }
"""


def main() -> None:
    """Show the folder that the command line named."""
    st.set_page_config(page_title="olrl", layout="wide", initial_sidebar_state="auto")
    st.html(f"<style>{shared_style()}{STYLE}</style>")
    try:
        path = Path(sys.argv[1])
        chosen, against = _choose(path)
        over = not liveness(chosen).goes_on
    except MISTAKES as error:
        _mistake(error)
        return
    resting = over and not st.session_state.get("reading", False)
    every = EVERY_OVER_S if resting else st.session_state.get("every", EVERY_S)
    st.fragment(_look, run_every=every)(chosen, against, over, every)


def _choose(path: Path) -> tuple[RunFolder, RunFolder | None]:
    """The run to show, and one to compare it with, as chosen at the side."""
    runs = {str(run.path): run for run in runs_in(path)}
    with st.sidebar:
        st.html(f"<h1>olrl</h1><p>{escape(ascii_safe(str(path)))}</p>")
        chosen = next(iter(runs.values()))
        if len(runs) > 1:
            chosen = runs[st.selectbox("Run", list(runs), format_func=_name, key="run")]
            with st.expander("All runs"):
                st.html(_table([glance(run) for run in list(runs.values())[:50]]))
        near = list(runs.values()) if len(runs) > 1 else _beside(path)
        others = {str(run.path): run for run in comparable(chosen, near)}
        against = st.selectbox(
            "Compare with",
            ["", *others],
            format_func=lambda name: _name(name) if name else "nothing",
            key=f"against {chosen.path}",
            help="Another run of the same stream, chunk, sequence length and seed.",
            disabled=not others,
        )
    return chosen, others.get(against)


def _name(path: str) -> str:
    return ascii_safe(Path(path).name)


def _beside(path: Path) -> list[RunFolder]:
    try:
        return runs_in(path.resolve().parent)
    except (ValueError, OSError):
        return []


def _look(folder: RunFolder, against: RunFolder | None, over: bool, every: int) -> None:
    """What is drawn anew every few seconds, or more seldom on a machine that is too busy for that."""
    if not over and st.session_state.get("every", EVERY_S) != every:
        st.rerun()
    started = time.monotonic()
    try:
        _body(folder, against, over)
    finally:
        if not over and (time.monotonic() - started) * SHARE > every:
            st.session_state["every"] = 2 * every


def _body(folder: RunFolder, against: RunFolder | None, over: bool) -> None:
    try:
        alive = liveness(folder)
        if alive.goes_on == over:
            st.rerun()  # it has ended, or was gone on with: another pace
        seen = followed(folder.path, None if against is None else against.path)
        page = seen.look()
    except MISTAKES as error:
        _mistake(error)
        return
    reading = seen.progress < 1.0
    if over and reading != st.session_state.get("reading", False):
        st.session_state["reading"] = (
            reading  # a long run that is over is read at the pace of one that goes on
        )
        st.rerun()
    # Each part in a place of its own, so that none moves where another comes or goes: a moved chart is drawn anew.
    head, controls, bar, body = st.container(), st.container(), st.container(), st.container()
    with head:
        _head(folder, alive, page)
    if alive.goes_on:
        with controls:
            _controls(folder)
    if reading:
        bar.progress(seen.progress, f"Reading: {seen.told} so far, {seen.progress:.0%} of the files.")
    with body:
        _sections(folder, page)


def _sections(folder: RunFolder, page: Page | None) -> None:
    if page is None:
        st.info(
            "Nothing to show yet: no round has ended. A model is being loaded, or the run waits for its stream."
        )
        return
    st.html(tiles_html(page))
    for section in page.sections:
        st.html(f'<section id="{section.id}"><h2>{escape(section.title)}</h2></section>')
        if section.figure is not None:
            section.figure.update_layout(uirevision=str(folder.path))  # a zoom survives new rounds
            st.plotly_chart(section.figure, theme=None, key=f"{folder.path} {section.id}", config=FIGURES)
        if html := section_html(section).strip():
            st.html(html)


def _head(folder: RunFolder, alive: Liveness, page: Page | None) -> None:
    title = ascii_safe(folder.path.name) if page is None else page.title
    state = f'<span class="state" id="state" style="background:{COLOURS[alive.state]}">{alive.state}</span>'
    sentence = "" if page is None else page.sentence
    told = escape(ascii_safe(alive.told))
    st.html(f'<h1>{escape(title)}</h1><p>{state}{told}</p><p id="sentence">{escape(sentence)}</p>')


def _controls(folder: RunFolder) -> None:
    """What a person may do with a run that goes on, each after saying so twice."""
    asked = st.session_state.get("asked")
    offered = actions(folder)
    chosen = next((action for action in offered if (str(folder.path), action.name) == asked), None)
    if chosen is None:
        for column, action in zip(st.columns([1] * len(offered) + [3]), offered, strict=False):
            column.button(
                action.name,
                disabled=not action.possible,
                help=action.why_not,
                width="stretch",
                on_click=_ask,
                args=(folder, action),
            )
        return
    st.warning(chosen.consequence)
    yes, no, _ = st.columns([1, 1, 2])
    say: dict[str, Any] = {"width": "stretch", "on_click": _answer}
    yes.button(f"Yes: {chosen.name.lower()}", type="primary", args=(folder, chosen, True), **say)
    no.button("No", args=(folder, chosen, False), **say)


def _ask(folder: RunFolder, action: Action) -> None:
    st.session_state["asked"] = (str(folder.path), action.name)


def _answer(folder: RunFolder, action: Action, yes: bool) -> None:
    st.session_state.pop("asked", None)
    if yes:
        action.act(folder)


def _table(glances: list[Glance]) -> str:
    rows = [
        (
            each.name,
            each.kind,
            each.state,
            "" if each.rounds is None else f"{each.rounds:,}",
            "" if each.loss_bpb is None else f"{each.loss_bpb:.3f}",
        )
        for each in glances
    ]
    heads = ("run", "kind", "state", "rounds", "bits/byte, last 100")
    return section_html(Section(title="All runs", heads=heads, rows=rows))


def _mistake(error: Exception) -> None:
    told = ascii_safe(" ".join(str(error).split()))[:2000] or type(error).__name__
    st.html(f'<p id="mistake"><b>This folder cannot be shown:</b> {escape(told)}</p>')


if __name__ == "__main__":
    main()
