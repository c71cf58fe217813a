"""The report of a training run as an HTML page."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from olrl.analysis import style
from olrl.analysis.page import Page, Section, write_page
from olrl.analysis.policy_figure import policy_picture
from olrl.analysis.report import settings
from olrl.analysis.training import SCORE, Stage, TrainingFollower, best_policy_folder
from olrl.control.policy import load_policy
from olrl.run_folder import RunFolder

if TYPE_CHECKING:
    import plotly.graph_objects as go

CHOICES = {
    "control/lr_choice": "learning rate",
    "control/batch_size_choice": "batch size",
    "control/window_choice": "window",
    "control/update_choice": "rounds trained",
}
COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE, style.VERMILION, style.SKY)


def write_training_page(folder: RunFolder) -> Path:
    """Write `report.html` of a training; ValueError where it holds no curves, ImportError without plotly."""
    page = training_page(TrainingFollower(folder))
    if page is None:
        raise ValueError(f"{folder.path} holds no curves yet: nothing to report")
    return write_page(page, folder.page)


def training_page(follower: TrainingFollower, *, picture: bytes | None = None) -> Page | None:
    """What a training has come to so far; None before its first curve.

    `picture` is the map of its policy (PNG), where it was drawn already.
    """
    stages, config = follower.stages(), follower.config
    if not stages:
        return None
    scores = [
        (stage.name, float(step), float(value))
        for stage in stages
        for step, value in zip(*stage.curve(SCORE), strict=True)
    ]
    sections = [
        *_validation(stages, scores),
        *_learning(stages),
        *_choices(stages),
        *_policy(follower.folder, picture),
        Section(title="Configuration", heads=("setting", "value"), rows=settings(config), folded=True),
        Section(
            title="To run it again",
            code=f"olrl train --profile {config.get('profile')} --seed {config.get('seed')}",
        ),
    ]
    return Page(
        title=f"Training: profile {config.get('profile')}, seed {config.get('seed')}",
        sentence=_sentence(stages, scores),
        tiles=_tiles(stages, scores),
        sections=sections,
    )


def _sentence(stages: list[Stage], scores: list[tuple[str, float, float]]) -> str:
    steps, name = stages[-1].end, stages[-1].name
    among = f"stage {name}" if len(stages) == 1 else f"{len(stages)} stages, the last of them {name}"
    begun = f"{steps:,.0f} environment steps in {among}"
    if not scores:
        return f"So far {begun}; the policy was not judged yet."
    best = min(scores, key=lambda one: one[2])
    often = "once" if len(scores) == 1 else f"{len(scores)} times"
    return (
        f"In {begun}, the policy was judged {often}; the best, in stage {best[0]}, had a loss "
        f"{abs(best[2]):.2f} % {'above' if best[2] > 0 else 'below'} that of the tuned constant on validation "
        f"streams."
    )


def _tiles(stages: list[Stage], scores: list[tuple[str, float, float]]) -> list[tuple[str, str]]:
    tiles = [("environment steps", f"{stages[-1].end:,.0f}"), ("stage", stages[-1].name)]
    if scores:
        tiles += [
            ("best score: loss against the tuned constant", f"{min(s for _, _, s in scores):+.2f} %"),
            ("newest score", f"{scores[-1][2]:+.2f} %"),
        ]
    return tiles


def _validation(stages: list[Stage], scores: list[tuple[str, float, float]]) -> Iterator[Section]:
    if scores:
        figure = _figure([(stages, SCORE, "loss above the tuned constant, %")], height=330, markers=True)
        figure.add_hline(y=0, line={"color": style.BLACK, "width": 0.8})
        yield Section(
            title="Validation by stage",
            text="After each leg of a stage the policy, without chance, on streams that training does not see, "
            "from base rates right and wrong: its loss against that of the tuned constant; below 0 is better. "
            "The policy of the best leg is kept.",
            figure=figure,
            heads=("stage", "step", "score"),
            rows=[(name, f"{step:,.0f}", f"{score:+.2f} %") for name, step, score in scores],
        )


def _learning(stages: list[Stage]) -> Iterator[Section]:
    panels = [
        ("rollout/ep_rew_mean", "return of an episode"),
        ("learner/loss_nats", "learner's loss, nats"),
        ("learner/spent_share", "share of budget spent"),
        ("train/explained_variance", "returns explained by the critic"),
    ]
    drawn = [(stages, tag, told) for tag, told in panels if any(len(s.curve(tag)[0]) for s in stages)]
    if drawn:
        yield Section(
            title="Learning curve",
            text="Means over episodes (returns) and over rollouts, by environment step; each stage has a "
            "colour, and as much room as the others. Stages differ in their episodes, so returns of two stages do "
            "not compare.",
            figure=_figure(drawn, height=130 + 150 * len(drawn)),
        )


def _choices(stages: list[Stage]) -> Iterator[Section]:
    drawn = [
        (stages, tag, told) for tag, told in CHOICES.items() if any(len(s.curve(tag)[0]) for s in stages)
    ]
    if drawn:
        yield Section(
            title="How actions are used",
            text="Mean choice over a rollout: for moves 0 is down, 1 stay and 2 up; the last is the share of "
            "rounds that train.",
            figure=_figure(drawn, height=130 + 110 * len(drawn)),
        )


def _policy(folder: RunFolder, picture: bytes | None) -> Iterator[Section]:
    found = best_policy_folder(folder)
    if found is None:
        return
    yield Section(
        title="What the policy does",
        text=f"The policy in the folder {found.relative_to(folder.path)}/, where the loss rises (to the right) and "
        "where steps overshoot (below).",
        pictures=[("Map of the policy", picture or policy_picture(load_policy(found)))],
    )


def _figure(panels: list[tuple[list[Stage], str, str]], *, height: int, markers: bool = False) -> "go.Figure":
    """Curves above each other that share their steps, a colour a stage.

    Each stage is as wide as the others: one on language takes a hundredth of the steps of one on the surrogate, and
    would be a sliver.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    from olrl.analysis.interactive import PLAIN

    figure = make_subplots(rows=len(panels), shared_xaxes=True, vertical_spacing=0.04)
    for row, (stages, tag, told) in enumerate(panels, start=1):
        for k, stage in enumerate(stages):
            steps, values = stage.curve(tag)
            look: dict[str, Any] = {"name": stage.name, "legendgroup": stage.name, "showlegend": row == 1}
            figure.add_trace(
                go.Scatter(
                    x=(k + (steps - stage.begin) / max(stage.end - stage.begin, 1)).astype(np.float32),
                    y=values.astype(np.float32), mode="lines+markers" if markers else "lines",
                    text=[f"step {step:,.0f}" for step in steps], hovertemplate="%{text}: %{y:.4g}",
                    line={"color": COLOURS[k % len(COLOURS)], "width": 1.6}, **look,
                ),
                row=row, col=1,
            )  # fmt: skip
        figure.update_yaxes(title_text=told, title_font_size=10, row=row, col=1)
    places, steps_there = _ticks(panels[0][0])
    figure.update_xaxes(
        gridcolor="#eeeeee", tickvals=places, ticktext=steps_there, range=[-0.02, places[-1] + 0.02]
    )
    figure.update_xaxes(title_text="environment steps", row=len(panels), col=1)
    for boundary in range(1, len(panels[0][0])):
        figure.add_vline(x=boundary, line={"color": style.GREY, "width": 0.8, "dash": "dot"})
    figure.update_yaxes(gridcolor="#e3e3e3", zeroline=False)
    figure.update_layout(height=height, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"}, **PLAIN)
    return figure


def _ticks(stages: list[Stage]) -> tuple[list[float], list[str]]:
    """Four places in each stage, and the end, with the steps that they stand for."""
    places, steps = [], []
    for k, stage in enumerate(stages):
        for quarter in range(4):
            places.append(k + quarter / 4)
            steps.append(stage.begin + quarter / 4 * (stage.end - stage.begin))
    return [*places, float(len(stages))], [f"{step:,.0f}" for step in [*steps, stages[-1].end]]
