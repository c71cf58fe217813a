"""`olrl search`: the trials, what is told of them, and the folder they are written to."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import typer

from olrl.analysis.style import save
from olrl.cli import EXIT_INTERRUPTED
from olrl.control.decision import Base
from olrl.models.load import load_model
from olrl.run_folder import BASE, RunFolder
from olrl.streams.dead_letter import DeadLetter
from olrl.streams.sources import open_source

from ..bars import Bars
from ..evaluation.given import given_stream, given_task, reads_corpus
from ..evaluation.jobs import Job, task_of
from ..fingerprint import fingerprint, model_place
from ..rivals.constants import constants_around
from .asked import Asked
from .config import SearchConfig
from .figure import figure_search
from .optuna_engine import search_with_optuna
from .outcome import Outcome, Played, play_after_prefix
from .trial import Trial, TrialLog, best_trial

LOOKED_AT = 64  # documents that are asked whether they have labels


def search_and_tell(config: SearchConfig, *, out: Path, resume: bool, bars: Bars) -> Outcome:
    """Search, write results.json, base.json, report.md and a figure, and print what was found.

    On Ctrl-C the trials made so far are kept, and what they found is told. ValueError in one sentence for what
    the caller can put right.
    """
    _check_installed(config)
    _check_said(config)
    job = _job(config)
    base = job.base
    _check_text(config, job)
    folder = _folder(config, out, resume=resume)
    log = TrialLog(folder.path / "trials.jsonl")
    bars.part("search", config.trials)
    try:
        _search(
            Asked(
                config=config,
                job=job,
                space=constants_around(base, reach=config.reach),
                base=base,
                folder=folder.path,
                log=log,
                told=_told(log, bars, config.loss_unit),
            )
        )
    except KeyboardInterrupt:
        _tell_stopped(log.trials, config, out, bars)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    outcome = _outcome(config, job, base, log.trials)
    _write(outcome, folder)
    for line in told_lines(outcome):
        bars.say(line)
    bars.say(f"Results, report and figure are in {folder.path}")
    return outcome


def _check_installed(config: SearchConfig) -> None:
    from importlib.util import find_spec

    if find_spec("optuna") is None:
        raise ValueError("a search needs the package optuna: install it with pip install 'olrl[rivals]'")
    if config.engine == "ray" and find_spec("ray") is None:
        raise ValueError("--engine ray needs the package ray: install it with pip install 'olrl[ray]'")


def _check_said(config: SearchConfig) -> None:
    """ValueError if a stream begins with labelled documents, and nobody has said what is to be learned of it."""
    if config.task is not None:
        return
    documents = open_source(config.stream, dead_letter=DeadLetter(None), late_labels=True)
    if any(document.label is not None for document in islice(documents, LOOKED_AT)):
        raise ValueError(
            f"the documents of {config.stream} have labels: say what is to be learned of them, with --task "
            f"classify or answer, or with --task lm their text alone"
        )


def _check_text(config: SearchConfig, job: Job) -> None:
    """ValueError where the stream has no round whose loss a configuration can change."""
    found = len(task_of(replace(job, rounds=config.rounds), judged=False).chunks)
    least = 2 if config.prefix is None else config.prefix + 1
    if found < least:
        raise ValueError(
            f"the stream has text for {found} rounds of {_chunk_told(job)}, and the "
            f"search takes at least {least}: give more text, or a smaller --prefix, --chunk or --seq-len"
        )


def _chunk_told(job: Job) -> str:
    if job.stream.task.kind == "classify":
        return f"{job.chunk} documents with labels"
    return f"{job.chunk} sequences of {job.seq_len} tokens"


def _job(config: SearchConfig) -> Job:
    """A run with the base, whose other configurations are the trials."""
    model = load_model(config.model, device=config.device)
    task = given_task(
        config.stream,
        config.learned,
        classes=config.classes,
        text_features=config.text_features,
        frozen=config.frozen,
    )
    stream = given_stream(config.stream, task, seq_len=config.seq_len)
    return Job(
        entrant="base",
        stream=stream,
        model=config.model,
        base=config.base(stream.base or model.base),
        fixed=None,
        base_lr_mult=1.0,
        policy="default",
        seed=config.seed,
        rounds=config.searched,
        chunk=config.chunk,
        seq_len=stream.seq_len or config.seq_len or model.seq_len,
        cost=config.cost,
        device=config.device,
    )


def _folder(config: SearchConfig, out: Path, *, resume: bool) -> RunFolder:
    """The folder of the search; one that goes on may only have more trials than it had."""
    settings = {"command": "search", **json.loads(json.dumps(asdict(config)))}
    settings["fingerprint"] = fingerprint(
        [model_place(config.model)],
        builtin=reads_corpus(config.stream, config.learned),
        stream=config.stream,
    )
    if not resume:
        folder = RunFolder.create(out)
        folder.write_config(settings)
        return folder
    folder = RunFolder.open(out)
    before = folder.read_config()
    changed = sorted(name for name in settings if settings[name] != before.get(name))
    if "fingerprint" in changed:
        raise ValueError(
            f"--resume with another text, model or version than the search in {out} was made with: "
            f"its trials are not comparable, start anew with another --out"
        )
    if changed and changed != ["trials"]:
        raise ValueError(f"--resume with another {changed[0]} than the search in {out} was started with")
    folder.write_config(settings)
    return folder


def _search(asked: Asked) -> None:
    if asked.config.engine == "ray":
        from .ray_engine import search_with_ray

        search_with_ray(asked)
    else:
        search_with_optuna(asked)


def _told(log: TrialLog, bars: Bars, unit: str) -> Callable[[Trial], None]:
    def told(trial: Trial) -> None:
        bars.step(len(log.trials), f"best {best_trial(log.trials).loss_bpb:.4f} bits a {unit}")

    return told


def _outcome(config: SearchConfig, job: Job, base: Base, trials: list[Trial]) -> Outcome:
    found = best_trial(trials)
    if config.prefix is None:
        with_base, with_found = Played.of_trial(trials[0]), Played.of_trial(found)
    else:
        whole = replace(job, rounds=config.rounds)
        with_base, with_found = (
            Played.after(config.prefix, play_after_prefix(whole, base=base, found=then, prefix=config.prefix))
            for then in (base, found.base)
        )
    return Outcome(
        config=config,
        base=base,
        trials=tuple(trials),
        with_base=with_base,
        with_found=with_found,
        corpus_sha256=_corpus(config),
    )


def _corpus(config: SearchConfig) -> str | None:
    if not reads_corpus(config.stream, config.learned):
        return None
    from olrl.streams.corpus import corpus_sha256

    return corpus_sha256()


def _write(outcome: Outcome, folder: RunFolder) -> None:
    _write_json(outcome.to_dict(), folder.path / "results.json")
    _write_json(asdict(outcome.best.base), folder.path / BASE)
    title = f"{outcome.config.stream}, model {outcome.config.model}, {outcome.config.sampler}"
    figure = save(
        figure_search(outcome.trials, title=title, unit=outcome.config.loss_unit),
        folder.figures / "search.png",
    )
    lines = ["# Search", "", *told_lines(outcome), "", f"![search](figures/{figure.name})", ""]
    folder.report.write_text("\n".join(lines), encoding="utf-8")


def _write_json(content: dict[str, Any], path: Path) -> None:
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    scratch.replace(path)


def told_lines(outcome: Outcome) -> list[str]:
    """What was found, in sentences, and how to run with it."""
    config, before, after = outcome.config, outcome.with_base, outcome.with_found
    pruned = sum(trial.state == "pruned" for trial in outcome.trials)
    where = "" if config.prefix is None else f" in the {after.rounds} rounds after the prefix"
    change = 100 * (after.loss_bpb / before.loss_bpb - 1)
    return [
        f"Best of {len(outcome.trials)} trials ({pruned} stopped early): {after.loss_bpb:.4f} bits a "
        f"{config.loss_unit}{where}, with the base {before.loss_bpb:.4f} ({change:+.2f} %).",
        f"The search took {outcome.times_a_run:.1f} times the compute of such a run"
        + (f" of {config.prefix} rounds." if config.prefix else "."),
        "",
        f"    olrl run --stream {config.stream}{_task_options(config)} --model {config.model} "
        f"{options_of(outcome.best.base)}",
        "",
    ]


def _task_options(config: SearchConfig) -> str:
    """What is learned, as options of `olrl run`; nothing for what it learns anyway."""
    given: dict[str, object] = {
        "task": None if config.learned == "lm" else config.learned,
        "classes": ",".join(config.classes),
        "encoder": config.encoder,
        "text-features": config.text_features,
    }
    return "".join(f" --{name} {value}" for name, value in given.items() if value)


def options_of(base: Base) -> str:
    """A configuration as options of `olrl run`.

    >>> options_of(Base(lr=3e-4, batch_size=4, window=0))
    '--base-lr 0.0003 --base-batch 4 --base-window 0 --base-weight-decay 0'
    """
    return (
        f"--base-lr {base.lr:g} --base-batch {base.batch_size} --base-window {base.window} "
        f"--base-weight-decay {base.weight_decay:g}"
    )


def _tell_stopped(trials: list[Trial], config: SearchConfig, out: Path, bars: Bars) -> None:
    if trials:
        best = best_trial(trials)
        bars.say(
            f"Best of {len(trials)} trials so far: {best.loss_bpb:.4f} bits a {config.loss_unit}, "
            f"{options_of(best.base)}"
        )
    bars.say(
        f"Stopped; the {len(trials)} trials made so far are kept: give the same options with --out {out} --resume"
    )
