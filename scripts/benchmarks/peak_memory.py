"""Peak resident memory, each measured in a process of its own that does nothing else."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .figures import Figure, Section, Setting, need
from .long_run import long_run
from .resident import peak_of


def _surrogate_steps(n: int) -> None:
    envs = need("olrl.envs.drifting_quadratic_vec", "DriftingQuadraticVecEnv")(n)
    envs.seed(0)
    envs.reset()
    for _ in range(5):
        envs.step(np.ones((n, 4), dtype=np.int64))


def _language_steps(model: str, n: int) -> None:
    envs = need("olrl.envs.online_lm_vec", "OnlineLMVecEnv")(n, model=model, rounds=12, n_streams=1)
    envs.seed(0)
    envs.reset()
    for _ in range(3):
        envs.step(np.ones((n, 4), dtype=np.int64))


def _single_language_steps(window_place: int) -> None:
    from .rounds import PLAIN_EPISODE

    env = need("olrl.envs.online_lm", "OnlineLMEnv")(rounds=80, n_streams=1, ranges=PLAIN_EPISODE)
    env.reset(seed=0)
    for k in range(79):
        env.step(np.array([1, 1, 1 + (k < window_place), 1]))


def _run(source: str, out: str) -> None:
    run, config = need("olrl.run", "run"), need("olrl.run_config", "RunConfig")
    run(config(stream=source, model="pico", controller="base", out=Path(out)))


def _surrogate(setting: Setting) -> Iterator[Figure]:
    for n in (1, 4) if setting.quick else (1, 16, 64, 256):
        yield _peak(f"{n} instances", peak_of(_surrogate_steps, n))


def _language(setting: Setting) -> Iterator[Figure]:
    for n in (1, 4) if setting.quick else (1, 4, 16, 64):
        yield _peak(f"{n} instances", peak_of(_language_steps, "pico", n))


def _windows(setting: Setting) -> Iterator[Figure]:
    for window, place in (("1", 0), ("8", 3), ("64", 6), ("reservoir", 7))[:: 3 if setting.quick else 1]:
        yield _peak(f"window {window}", peak_of(_single_language_steps, place))


def _stream_lengths(setting: Setting) -> Iterator[Figure]:
    from .documents import write_documents

    for n in (300, 600) if setting.quick else (1_000, 10_000, 50_000):
        source = write_documents(setting.scratch / f"{n}.jsonl", n)
        out = setting.scratch / f"memory-run-{n}-{len(list(setting.scratch.iterdir()))}"
        yield _peak(f"{n} documents", peak_of(_run, str(source), str(out)))


def _read_back(folder: str) -> None:
    need("olrl.analysis.report", "write_report")(need("olrl.run_folder", "RunFolder").open(Path(folder)))


def _reports(setting: Setting) -> Iterator[Figure]:
    for rounds in (50, 100) if setting.quick else (1_000, 10_000, 100_000):
        folder = long_run(setting.scratch / f"report-{rounds}", rounds)
        yield _peak(f"{rounds} rounds", peak_of(_read_back, str(folder)))


def _peak(name: str, megabytes: float) -> Figure:
    return Figure(name=name, value=megabytes, unit="MB")


SECTION = Section(
    name="memory",
    about="peak resident memory",
    parts={
        "surrogate, batched": _surrogate,
        "pico, batched": _language,
        "pico, one environment": _windows,
        "pico, a run by length of its stream": _stream_lengths,
        "the report of a run by its rounds": _reports,
    },
)
