"""The commands of this room: `olrl train`, `olrl features`, `olrl compare`, `olrl search`, `olrl export`.

Nothing heavy is imported before a command runs, so that help is quick.
"""

import time
from pathlib import Path
from typing import Annotated

import typer

from olrl.cli import BaseFrom

from .ppo.recipe import PROFILES

Engine = Annotated[
    str, typer.Option(metavar="local|ray", help="Who works: this machine's cores, or a Ray cluster's.")
]
RayAddress = Annotated[
    str,
    typer.Option(
        metavar="local|HOST:PORT|auto",
        help="With --engine ray: a Ray of its own on this machine, or a cluster's head to join.",
    ),
]
Model = Annotated[str, typer.Option(metavar="nano|pico|femto|DIR|HUB-ID", help="The model that learns.")]
BaseBatch = Annotated[
    int | None, typer.Option(metavar="N", show_default="the model's own", help="Base batch size.")
]
BaseWindow = Annotated[
    int | None, typer.Option(metavar="N", show_default="the model's own", help="Base window, chunks.")
]
Classes = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,...",
        show_default="read from the file beforehand",
        help="The labels that --task classify tells apart.",
    ),
]
TextFeatures = Annotated[
    int, typer.Option(metavar="K", help="Text features beside the embedding, of classifiers; see olrl run.")
]
Budget = Annotated[float, typer.Option(metavar="U", help="Cost units a round may spend.")]
Device = Annotated[str, typer.Option(metavar="D", help="Where models compute.")]
PROFILES_HELP = (
    "On two cores: " + "; ".join(f"{name}, {made.minutes}" for name, made in PROFILES.items()) + "."
)


def train(
    profile: Annotated[str, typer.Option(metavar="NAME", help=PROFILES_HELP)] = "standard",
    seed: Annotated[int, typer.Option(metavar="N", help="Decides everything that is drawn.")] = 0,
    features: Annotated[
        Path | None,
        typer.Option(
            metavar="SPEC",
            show_default="those made by hand",
            help="Observe the features in a file that olrl features wrote.",
        ),
    ] = None,
    engine: Engine = "local",
    ray_address: RayAddress = "local",
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", show_default="runs/train-PROFILE-SEED-TIME", help="The run folder."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out where its newest checkpoint is.")
    ] = False,
) -> None:
    """Train a controller, and freeze it into a policy.

    PPO on the surrogate, then on language models that learn online from builtin text. Writes TensorBoard
    events, checkpoints, report.md and policy/ into the run folder; validation before and after each stage.
    """
    from rich.console import Console

    from .bars import Bars
    from .ppo.command import train_and_tell
    from .workers.engine import workers_of

    if seed < 0:
        raise ValueError(f"seed must be at least 0, not {seed}")
    if resume and out is None:
        raise ValueError("--resume needs --out, the folder of the run to go on with")
    folder = out or Path("runs") / f"train-{profile}-{seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    with Bars(Console()) as bars, workers_of(engine, ray_address, say=bars.say) as workers:
        train_and_tell(
            profile, seed=seed, out=folder, resume=resume, bars=bars, workers=workers, features=features
        )


def compare(
    suite: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Streams to compare on: drift, ciphered, time, quiet, transfer, scenarios.",
        ),
    ] = "drift",
    stream: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Your own stream instead of a suite; see olrl run.")
    ] = None,
    task: Annotated[
        str,
        typer.Option(metavar="lm|classify|answer", help="What is learned of your own stream; see olrl run."),
    ] = "lm",
    classes: Classes = None,
    text_features: TextFeatures = 0,
    streams: Annotated[int, typer.Option(metavar="N", help="Streams of the suite.")] = 5,
    split: Annotated[
        str, typer.Option(metavar="NAME", help="Text of the suite: train, validation or test.")
    ] = "test",
    model: Model = "nano",
    controllers: Annotated[
        str,
        typer.Option(metavar="A,B,...", help="Entrants by name, with commas between; a wrong one lists all."),
    ] = "never,base,hypergradient,drift-reset,policy",
    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="default|DIR",
            show_default="default",
            help="The frozen policy of entrant policy; once for each of several, trained with different seeds.",
        ),
    ] = None,
    base_lr: Annotated[
        float | None,
        typer.Option(metavar="X", show_default="the model's own", help="Base learning rate."),
    ] = None,
    base_batch: BaseBatch = None,
    base_window: BaseWindow = None,
    base_from: BaseFrom = None,
    base_lr_mult: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y,...",
            show_default="0.125,1,8; quiet: 1",
            help="Factors on the base rate: how wrong it is.",
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(metavar="N", help="Rounds a stream.")] = 150,
    seeds: Annotated[int, typer.Option(metavar="K", help="Seeds of the draws from memory, each a run.")] = 1,
    budget: Budget = 64.0,
    price: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            show_default="0; quiet: 0.15",
            help="What a whole budget is worth, as a share of the running loss.",
        ),
    ] = None,
    device: Device = "cpu",
    engine: Engine = "local",
    ray_address: RayAddress = "local",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", show_default="runs/compare-TIME", help="The result folder.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on in --out; runs it holds are not made again.")
    ] = False,
) -> None:
    """Run entrants side by side on the same tokens: table, results.json, figures.

    Loss is prequential (each chunk is scored before any training on it), in bits per byte; lower is better.
    """
    from rich.console import Console

    from olrl.learners.cost import CostModel

    from .bars import Bars
    from .evaluation.command import compare_and_tell
    from .evaluation.compare import CompareConfig
    from .evaluation.suites import SUITES
    from .workers.engine import workers_of

    usual = SUITES["drift" if stream is not None or suite not in SUITES else suite]
    config = CompareConfig(
        controllers=tuple(dict.fromkeys(name.strip() for name in controllers.split(","))),
        suite=suite,
        stream=stream,
        task=task,
        classes=_names(classes),
        text_features=text_features,
        split=split,  # type: ignore[arg-type] # checked by CompareConfig
        streams=streams,
        seeds=seeds,
        model=model,
        policies=tuple(policy or ["default"]),
        base_lr=base_lr,
        base_batch=base_batch,
        base_window=base_window,
        base_from=None if base_from is None else str(base_from),
        base_lr_mult=usual.base_lr_mult if base_lr_mult is None else _numbers("base-lr-mult", base_lr_mult),
        rounds=rounds,
        cost=CostModel(budget=budget),
        price=usual.price if price is None else price,
        device=device,
    )
    if resume and out is None:
        raise ValueError("--resume needs --out, the folder of the comparison to go on with")
    folder = out or Path("runs") / f"compare-{time.strftime('%Y%m%d-%H%M%S')}"
    with Bars(Console()) as bars, workers_of(engine, ray_address, say=bars.say) as workers:
        compare_and_tell(config, out=folder, resume=resume, bars=bars, workers=workers)


def search(
    stream: Annotated[
        str,
        typer.Option(
            metavar="SOURCE",
            help="A .jsonl or .txt file, a folder of them, builtin:NAME, scenario:NAME or hf:NAME.",
        ),
    ],
    task: Annotated[
        str | None,
        typer.Option(
            metavar="lm|classify|answer",
            show_default="lm; a stream with labels needs it",
            help="What is learned of the stream; see olrl run.",
        ),
    ] = None,
    classes: Classes = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="frozen|learning",
            show_default="frozen",
            help="With --task classify: a head learns on features of the model, or all weights do.",
        ),
    ] = None,
    text_features: TextFeatures = 0,
    model: Model = "nano",
    trials: Annotated[
        int, typer.Option(metavar="N", help="Configurations tried, the base first; each is a run.")
    ] = 32,
    rounds: Annotated[int, typer.Option(metavar="N", help="Rounds of the stream at most.")] = 150,
    prefix: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            show_default="all rounds, in hindsight",
            help="Search on the first N rounds only, and play the others with what was found.",
        ),
    ] = None,
    sampler: Annotated[
        str, typer.Option(metavar="NAME", help="What proposes configurations: gp, tpe, random or genetic.")
    ] = "gp",
    engine: Annotated[
        str,
        typer.Option(
            metavar="optuna|ray", help="optuna: one trial after the other; ray: one on each core, with ASHA."
        ),
    ] = "optuna",
    prune: Annotated[
        bool, typer.Option("--prune/--no-prune", help="Stop trials early that do badly.")
    ] = True,
    base_lr: Annotated[
        float | None,
        typer.Option(
            metavar="X", show_default="the model's own", help="Learning rate that is searched around."
        ),
    ] = None,
    base_batch: BaseBatch = None,
    base_window: BaseWindow = None,
    base_weight_decay: Annotated[
        float | None,
        typer.Option(metavar="X", show_default="the model's own", help="Weight decay of the base."),
    ] = None,
    reach: Annotated[
        float, typer.Option(metavar="X", help="Factor that a rate lies off the base's at most.")
    ] = 64.0,
    chunk: Annotated[int, typer.Option(metavar="C", help="Sequences that arrive a round.")] = 16,
    seq_len: Annotated[
        int | None,
        typer.Option(metavar="L", show_default="the model's own, or 64", help="Predicted tokens a sequence."),
    ] = None,
    budget: Budget = 64.0,
    device: Device = "cpu",
    seed: Annotated[int, typer.Option(metavar="N", help="Decides all that is drawn.")] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", show_default="runs/search-TIME", help="The result folder.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with the search in --out; more --trials than it had make it longer."
        ),
    ] = False,
) -> None:
    """Search the constant configuration with which a model learns a stream best.

    Learning rate, batch size, window and weight decay, by prequential loss: what people do where no policy steers
    the run. Prints the best as options of olrl run. Ctrl-C keeps the trials made so far.
    """
    from rich.console import Console

    from olrl.learners.cost import CostModel

    from .bars import Bars
    from .search.command import search_and_tell
    from .search.config import SearchConfig

    config = SearchConfig(
        stream=stream,
        task=task,
        classes=_names(classes),
        encoder=encoder,
        text_features=text_features,
        model=model,
        trials=trials,
        rounds=rounds,
        prefix=prefix,
        sampler=sampler,
        engine=engine,
        prune=prune,
        base_lr=base_lr,
        base_batch=base_batch,
        base_window=base_window,
        base_weight_decay=base_weight_decay,
        reach=reach,
        chunk=chunk,
        seq_len=seq_len,
        cost=CostModel(budget=budget),
        device=device,
        seed=seed,
    )
    if resume and out is None:
        raise ValueError("--resume needs --out, the folder of the search to go on with")
    folder = out or Path("runs") / f"search-{time.strftime('%Y%m%d-%H%M%S')}"
    with Bars(Console()) as bars:
        search_and_tell(config, out=folder, resume=resume, bars=bars)


def features(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN_DIR...", help="Folders of olrl train runs with a hindsight stage."),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="The feature spec, JSON, to give to olrl train --features.")
    ] = Path("features.json"),
    count: Annotated[int, typer.Option(metavar="N", help="Features to select.")] = 24,
    bootstraps: Annotated[
        int, typer.Option(metavar="B", help="Redrawings of the streams by which stability is judged.")
    ] = 8,
    decisions: Annotated[
        int, typer.Option(metavar="N", help="Decisions drawn from the runs that scores are made from.")
    ] = 4000,
    seed: Annotated[int, typer.Option(metavar="N", help="Decides all that is drawn.")] = 0,
) -> None:
    """Select features from recorded training runs, by what they tell of returns and of what choices cost.

    Candidates are lags, changes, averages, log ratios and z-scores of raw signals, and products of the best. They
    are scored by mutual information, an L1-penalised fit and permutation importance, each time anew on streams
    redrawn, and those chosen most often that do not say the same are kept.
    """
    from rich.console import Console

    from .bars import Bars
    from .features.command import select_and_tell
    from .features.select import SelectConfig

    config = SelectConfig(count=count, bootstraps=bootstraps, decisions=decisions, seed=seed)
    with Bars(Console()) as bars:
        select_and_tell(runs, config, out=out, bars=bars)


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="The folder of an olrl train run.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", show_default="RUN_DIR/policy", help="The policy folder.")
    ] = None,
) -> None:
    """Make a policy folder of a training run, from its best policy so far."""
    from .ppo.command import export_checkpoint

    print(f"policy written to {export_checkpoint(run, out or run / 'policy')}")


def _names(text: str | None) -> tuple[str, ...]:
    return () if text is None else tuple(name.strip() for name in text.split(","))


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(dict.fromkeys(float(part) for part in text.split(",")))
    except ValueError as error:
        raise ValueError(f"--{option} takes numbers with commas between, not {text!r}") from error
