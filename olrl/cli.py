"""The command line: `olrl run`, `decide`, `inspect`, `report`, `dashboard`, and what other rooms add to it.

Nothing heavy is imported before a command runs, so that help is quick.
"""

import os
import sys
from errno import EDQUOT, ENOSPC
from importlib.metadata import EntryPoint, entry_points
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

from olrl import __version__
from olrl.control.decision import Base
from olrl.run_config import CONTROLLERS, DEFAULT_POLICY, RunConfig, settings_in
from olrl.task_kinds import TASKS

GROUP = "olrl.commands"
DEBUG = "OLRL_DEBUG"
LONGEST_SENTENCE = 2000  # characters; a message may quote what somebody else wrote
EXIT_MISTAKE, EXIT_INTERRUPTED = 2, 130

# One line each, so that listing them imports nothing; others are listed by their package.
ABOUT = {
    "train": "Train a controller, and freeze it into a policy.",
    "compare": "Run entrants side by side on the same tokens.",
    "search": "Search the best constant configuration for a stream, as people do without a policy.",
    "features": "Select features from recorded training runs, to train on.",
    "export": "Make a policy folder of a training run.",
}

BaseFrom = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        show_default="the model's own",
        help="Start from what an olrl search has found; the other --base options change it.",
    ),
]


class Interrupted(Exception):
    """Ctrl-C where no command had seen to it."""


class Commands(TyperGroup):
    """The commands; of a Ctrl-C that none of them saw to `execute` hears, which typer would end without a word."""

    def invoke(self, ctx: Any) -> Any:
        """As always."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted from None


class LazyCommand(TyperCommand):
    """A command of another room, found by name among the entry points and imported only when it runs."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Import the command and let it make the context, options and all."""
        [found] = [point for point in entry_points(group=GROUP) if point.name == self.name]
        wanted = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        wanted.command(self.name)(found.load())
        return typer.main.get_command(wanted).make_context(info_name, args, parent=parent, **extra)


def build_app() -> typer.Typer:
    """The application with the commands of all rooms."""
    app = typer.Typer(
        name="olrl",
        cls=Commands,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_olrl)
    for command in (run, decide, inspect, report, dashboard):
        app.command()(command)
    for point in sorted(entry_points(group=GROUP), key=_place):
        app.command(point.name, cls=LazyCommand, help=_about(point))(_elsewhere)
    return app


def main() -> None:
    """The console script: a mistake is one sentence and exit code 2; OLRL_DEBUG=1 shows its traceback."""
    sys.exit(execute(sys.argv[1:]))


def execute(args: list[str]) -> int:
    """Run a command line and return its exit code; a mistake is told on standard error."""
    _open_streams()
    try:
        code = app(args, prog_name="olrl", standalone_mode=False)
    except (Interrupted, KeyboardInterrupt):
        return _say(
            "interrupted at once; what is in the folder is kept, and --resume goes on where the command has it",
            EXIT_INTERRUPTED,
        )
    except Exception as error:
        if os.environ.get(DEBUG) == "1" or not _is_mistake(error):
            raise
        return _say(_sentence(error), EXIT_MISTAKE)
    return code if isinstance(code, int) else 0


def _open_streams() -> None:
    """Standard streams that are closed, or cannot show every character, must not end a command."""
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115 # open until the process ends
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _is_mistake(error: Exception) -> bool:
    """Whether the caller can put it right: wrong options (typer's errors), wrong values, missing files, no room."""
    return isinstance(error, (ValueError, TypeError, OSError, MemoryError)) or hasattr(
        error, "format_message"
    )


def _sentence(error: Exception) -> str:
    told = error.format_message() if hasattr(error, "format_message") else str(error)
    if isinstance(error, OSError) and error.filename is not None:
        told = f"{error.filename}: {error.strerror}"
    elif isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT):
        told = "the disk is full: make room, and give the command again, with --resume where it has that"
    told = " ".join(_harmless(told).split()) or type(error).__name__
    return told if len(told) <= LONGEST_SENTENCE else f"{told[:LONGEST_SENTENCE]}..."


def _harmless(text: str) -> str:
    """Without what a terminal would obey: text from a file that somebody else wrote is only shown."""
    shown = (c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)
    return "".join(shown)


def _say(sentence: str, code: int) -> int:
    print(f"olrl: {sentence}", file=sys.stderr)
    return code


def _about(point: EntryPoint) -> str:
    return ABOUT.get(point.name, f"From {point.value.partition(':')[0]}.")


def _place(point: EntryPoint) -> tuple[int, str]:
    return (list(ABOUT).index(point.name) if point.name in ABOUT else len(ABOUT), point.name)


def _elsewhere() -> None:
    raise AssertionError("a lazy command is never called itself")


def _olrl(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Learned control of learning rate, batch size and window for language models that learn online."""
    if version:
        print(f"olrl {__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


def run(
    context: typer.Context,
    stream: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            show_default="needed, unless --resume",
            help="A .jsonl or .txt file, a folder of them, - (standard input), builtin:NAME or hf:NAME.",
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(metavar="nano|mini|bpe|pico|femto|DIR|HUB-ID", help="The model that learns.")
    ] = RunConfig.model,
    task: Annotated[
        str,
        typer.Option(
            metavar="lm|classify|answer",
            help="What is learned: the text, a document's label, or its label as an answer to its text.",
        ),
    ] = RunConfig.task,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            show_default="read from the file beforehand",
            help="The labels that --task classify tells apart.",
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="frozen|learning",
            show_default="frozen",
            help="With --task classify: a head learns on features of the model, or all weights do.",
        ),
    ] = None,
    text_features: Annotated[
        int,
        typer.Option(
            metavar="K",
            help="With --task classify: the head sees K words or pieces of words too, chosen online; 2048: all.",
        ),
    ] = RunConfig.text_features,
    controller: Annotated[
        str, typer.Option(metavar="NAME", help=f"What decides: {', '.join(CONTROLLERS)}.")
    ] = RunConfig.controller,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="default|DIR",
            show_default="the one that ships",
            help="The frozen policy that --controller policy follows.",
        ),
    ] = None,
    base_lr: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            show_default="the model's own",
            help="Learning rate control starts from; any model but those that ship needs it.",
        ),
    ] = None,
    base_batch: Annotated[
        int | None,
        typer.Option(
            metavar="N", show_default="the model's own, or 8", help="Batch size, sequences (1 to 64)."
        ),
    ] = None,
    base_window: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            show_default="the model's own, or 8",
            help="Window, newest chunks drawn from (1, 2, 4, ... 64; 0 is the reservoir).",
        ),
    ] = None,
    base_weight_decay: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            show_default="the model's own, or 0",
            help="Weight decay: a step takes learning rate × X off each weight.",
        ),
    ] = None,
    base_pull: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            show_default="the model's own, or 0",
            help="Pull towards the initial weights: a step takes learning rate × X off the distance from them.",
        ),
    ] = None,
    base_from: BaseFrom = None,
    rounds: Annotated[
        int | None, typer.Option(metavar="N", show_default="to the stream's end", help="Rounds at most.")
    ] = None,
    chunk: Annotated[
        int,
        typer.Option(
            metavar="C", help="Sequences (documents, where labels are learned) that arrive a round."
        ),
    ] = RunConfig.chunk,
    seq_len: Annotated[
        int | None,
        typer.Option(metavar="L", show_default="the model's own, or 64", help="Predicted tokens a sequence."),
    ] = None,
    budget: Annotated[
        float,
        typer.Option(metavar="U", help="Cost units a round may spend; a step over B sequences costs 4 + B."),
    ] = RunConfig.budget,
    price: Annotated[
        float,
        typer.Option(metavar="P", help="What one whole budget is worth, as a share of the running loss."),
    ] = RunConfig.price,
    optimizer: Annotated[
        str,
        typer.Option(
            metavar="adamw|sgd|von|vadam",
            help="How gradients become moves; von (variational online Newton) and vadam keep a posterior.",
        ),
    ] = RunConfig.optimizer,
    draws: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="With these: predict by the mean over N weights drawn from the posterior; 0: by its mean.",
        ),
    ] = RunConfig.draws,
    lora: Annotated[
        str | None,
        typer.Option(
            metavar="r=R[,alpha=A][,targets=NAME+NAME]",
            show_default="all weights learn",
            help="Train adapters of rank R beside frozen weights; the model is saved with them merged in.",
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="D", help="Where the model computes: cpu, cuda, cuda:1, mps.")
    ] = RunConfig.device,
    dtype: Annotated[
        str,
        typer.Option(
            metavar="float32|bfloat16",
            help="The model's numbers; bfloat16 takes half the memory, and loses small steps but those of --lora.",
        ),
    ] = RunConfig.dtype,
    seed: Annotated[int, typer.Option(metavar="N", help="Decides all that is drawn.")] = RunConfig.seed,
    follow: Annotated[
        bool, typer.Option("--follow", metavar="", help="Wait for more at the end of a growing file.")
    ] = False,
    spool: Annotated[
        bool,
        typer.Option(
            "--spool", help="Keep standard input in the folder, so that --resume can go on with it."
        ),
    ] = False,
    keep_rejected: Annotated[
        bool,
        typer.Option("--keep-rejected", help="Keep the text of rows that cannot be used in the dead letter."),
    ] = False,
    shadow: Annotated[
        bool,
        typer.Option(
            "--shadow", help="The base stays in force; what the controller proposes is written down."
        ),
    ] = False,
    dp_noise: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            show_default="no differential privacy",
            help="Differential privacy with noise of X times the clip; only the rate is controlled then.",
        ),
    ] = None,
    dp_epsilon: Annotated[
        float | None,
        typer.Option(
            metavar="E", show_default="none", help="The same, with the noise that keeps to this epsilon."
        ),
    ] = None,
    dp_clip: Annotated[
        float | None, typer.Option(metavar="C", show_default="1", help="Bound on an example's gradient norm.")
    ] = None,
    dp_delta: Annotated[
        float | None, typer.Option(metavar="D", show_default="1e-5", help="Delta of the guarantee.")
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            metavar="N", show_default="no limit", help="End when so many tokens went through the model."
        ),
    ] = None,
    max_seconds: Annotated[
        float | None,
        typer.Option(
            metavar="S", show_default="no limit", help="End after so many seconds, in a whole round."
        ),
    ] = None,
    max_rollbacks: Annotated[
        int | None,
        typer.Option(
            metavar="N", show_default="no limit", help="End when broken weights were put back more often."
        ),
    ] = None,
    max_skips: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            show_default="no limit",
            help="End when more rounds learned nothing: training withheld by the guard, or no finite step.",
        ),
    ] = None,
    snapshots: Annotated[
        int,
        typer.Option(
            metavar="K",
            help="Good states kept in memory to roll back to, each as large as weights and optimizer.",
        ),
    ] = RunConfig.snapshots,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", show_default="runs/DATE-TIME-...", help="A new or empty folder for the run."
        ),
    ] = None,
    checkpoint_every: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            show_default="30 seconds, and 5 % of the time at most",
            help="Rounds from one checkpoint to the next; 0 makes none.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with the run in --out from its newest checkpoint; options may be left out.",
        ),
    ] = False,
) -> None:
    """Let a model learn online from a stream, under a controller.

    Ctrl-C, or a file STOP in the run's folder, ends the run after its round and saves the model. However it ended,
    olrl run --resume --out DIR goes on as if it had not.
    """
    config = _run_config(context, {name: value for name, value in locals().items() if name != "context"})
    from olrl.run_command import run_and_tell

    code = run_and_tell(config)
    if code:
        raise typer.Exit(code)


def _run_config(context: typer.Context, options: dict[str, Any]) -> RunConfig:
    """What is to be run; with --resume, what is not given is as it was."""
    if options["resume"]:
        if options["out"] is None:
            raise ValueError("--resume needs --out, the folder of the run to go on with")
        given = {name for name in options if _is_given(context, name)}
        options = {**settings_in(options["out"]), **{name: options[name] for name in given}}
    if options["stream"] is None:
        raise ValueError("Missing option '--stream': what the model is to learn from")
    return RunConfig(**options)


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT")


def decide(
    base_lr: Annotated[
        float,
        typer.Option(metavar="X", help="Learning rate control starts from, and moves a factor 64 around."),
    ],
    policy: Annotated[
        str, typer.Option(metavar="default|DIR", help="The frozen policy that decides.")
    ] = DEFAULT_POLICY,
    base_batch: Annotated[
        int, typer.Option(metavar="N", help="Batch size control starts from, sequences (1 to 64).")
    ] = Base.batch_size,
    base_window: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Window control starts from, newest chunks (1, 2, 4, ... 64; 0 is the reservoir).",
        ),
    ] = Base.window,
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Go on from this file if it is there, and keep it up to date with each decision.",
        ),
    ] = None,
    task: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=f"What is learned ({', '.join(TASKS)}), by which the guard judges what the policy sees.",
        ),
    ] = RunConfig.task,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", metavar="", help="End with exit code 2 at the first line that is no signals."
        ),
    ] = False,
) -> None:
    """Read signals as JSON lines, and answer each with a decision as a JSON line, at once.

    In: {"loss_nats": 2.31, "grad_norm": 0.8}; what is not measured is left out. Out: {"lr", "batch_size",
    "window", "update", "guard"}, or {"error"} for a line that is no signals, which changes nothing.
    """
    from olrl.control.policy import load_policy
    from olrl.decide import Decider, answer_lines
    from olrl.decide_state import StateFile

    base = Base(lr=base_lr, batch_size=base_batch, window=base_window)
    decider = Decider(policy=load_policy(policy), base=base, task=task)
    save = (lambda: None) if state is None else StateFile(state, decider).save
    try:
        errors = answer_lines(
            decider, cast(BufferedReader, sys.stdin.buffer), sys.stdout, before_answer=save, go_on=not strict
        )
    except BrokenPipeError:  # whoever read the answers has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    if errors and strict:
        raise typer.Exit(EXIT_MISTAKE)


def inspect(
    policy: Annotated[
        str, typer.Argument(metavar="DIR|NAME", help="A policy folder, a run that trained one, or default.")
    ],
    figure: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw what it does where the loss rises and steps overshoot (.png, .svg, .pdf).",
        ),
    ] = None,
) -> None:
    """Check a frozen policy and show its card."""
    from olrl.control.policy import load_policy

    inside = Path(policy) / "policy"
    frozen = load_policy(str(inside) if (inside / "policy.json").is_file() else policy)
    shape = " → ".join(str(size) for size in frozen.description()["network"]["sizes"])
    print(_harmless(frozen.card.rstrip()))
    for line in _features_told(frozen.description()["features"]):
        print(line)
    print(f"\nChecked: weights match their sha256; network {shape}; actions {frozen.coding.name}.")
    if figure is not None:
        from olrl.analysis.policy_figure import save_policy_figure

        print(f"Figure: {save_policy_figure(frozen, figure)}")


def _features_told(spec: dict[str, Any]) -> list[str]:
    """The features of a selected set, with the scores they were chosen by; nothing for those made by hand."""
    if spec.get("kind") != "selected":
        return []
    rows = [
        (one["name"], ", ".join(f"{k} {v:g}" for k, v in one["scores"].items())) for one in spec["features"]
    ]
    width = max(len(name) for name, _ in rows)
    head = f"\nObserves {len(rows)} selected features:"
    return [head, *(_harmless(f"  {name:{width}}  {scores}".rstrip()) for name, scores in rows)]


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a run, or of a comparison.")],
    against: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Another run of the same text, say of the base: shows the regret."),
    ] = None,
    show_text: Annotated[
        bool,
        typer.Option("--show-text", help="Show the text of rejected rows, if the run kept it (HTML only)."),
    ] = False,
) -> None:
    """Write a report anew from a folder's other files: report.md with its figure, and report.html."""
    from olrl.analysis.folder_report import write_folder_report

    try:
        written = write_folder_report(folder, against=against, show_text=show_text)
    except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"a file in {folder} is damaged ({type(error).__name__}: {error})") from error
    print("\n".join(str(path) for path in written.files))
    for sentence in (written.told, written.missing):
        if sentence:
            _say(sentence, 0)


def dashboard(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder of a run or of a training, or a folder of such.")
    ],
    port: Annotated[
        int, typer.Option(metavar="N", help="Port on this machine (127.0.0.1); 0 takes one that is free.")
    ] = 8501,
) -> None:
    """Follow a run while it goes on: a live page, for a browser on this machine only. Ctrl-C ends it.

    Shows what the report shows, says whether the run is running, silent or over, and switches it to shadow or
    stops it after you have said so twice. Needs pip install 'olrl[dashboard]'.
    """
    from olrl.dashboard.serve import serve

    serve(folder, port=port)


app = build_app()
