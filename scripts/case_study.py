"""SmolLM2-135M with adapters on a stream that changes its language twice: `python scripts/case_study.py run`.

English docstrings, then Spanish conversation, then docstrings again: 120 rounds of 4 sequences of 64 tokens, 8
sequences trained in each. Every entrant starts from the right learning rate and from one eight times as high. Needs
`scripts/fetch_smollm2.py` first, and about 12 minutes a run on one core; each run is written to
docs/results/smollm2/ as soon as it is finished, and is not made again.

    python scripts/case_study.py sweep   which rate is right, on training text (4 minutes)
    python scripts/case_study.py run     all runs that are missing, then what `write` does
    python scripts/case_study.py run --only drift-reset    of these, one entrant's
    python scripts/case_study.py write   the figures and the table, from the runs that are there
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import torch
from fetch_smollm2 import REQUIREMENT, default_folder
from matplotlib.figure import Figure

from olrl.agents.evaluation.entrants import build_controller
from olrl.agents.evaluation.play import Trace, play
from olrl.analysis import style
from olrl.analysis.compare_figure import Curve, figure_compare
from olrl.assembly import LoopConfig, cut_chunks
from olrl.control.decision import Base
from olrl.learners.causal_lm import CausalLMLearner
from olrl.learners.cost import CostModel
from olrl.models.load import load_model
from olrl.streams.chunk import Chunk
from olrl.streams.corpus import corpus_sha256, load_corpus
from olrl.streams.document import Document
from olrl.streams.pieces import Split

OUT = Path(__file__).parent.parent / "docs" / "results" / "smollm2"
LORA = "r=8"
ROUNDS = 120
STRETCHES = (
    ("docstrings", 33_000),
    ("spanish", 24_000),
    ("docstrings", 33_000),
)  # bytes: about 40 rounds each
SWEEP_ROUNDS = 10
SWEEP_STRETCHES = (("docstrings", 4_000), ("spanish", 8_000))
SWEEP_RATES = (6.25e-4, 1.25e-3, 2.5e-3, 5e-3)
RIGHT = Base(lr=2.5e-3, batch_size=4, window=1)
WRONG = 8.0
# Two steps over 4 sequences cost 16. Two probes, not four: each costs as much as a sequence that is scored.
LOOP = LoopConfig(chunk=4, seq_len=64, cost=CostModel(budget=16.0), probes=2)


@dataclass(frozen=True)
class Run:
    """An entrant and the factor that its base rate is off by; `fixed` is the base where that is right."""

    entrant: str
    mult: float

    @property
    def path(self) -> Path:
        """Where its result is kept."""
        return OUT / f"{self.entrant}-x{self.mult:g}.json"


RUNS = (
    Run("fixed", 1.0),
    Run("base", WRONG),
    *(Run(name, mult) for mult in (WRONG, 1.0) for name in ("drift-reset", "policy", "hypergradient")),
)


def main() -> None:
    """Do what is asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["sweep", "run", "write"])
    parser.add_argument("--model", default=str(default_folder()), help="model folder (default: %(default)s)")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        choices=sorted({run.entrant for run in RUNS}),
        help="run only this entrant; repeatable (default: all)",
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.what == "sweep":
        sweep(Study(args.model, "train", SWEEP_STRETCHES, rounds=SWEEP_ROUNDS))
        return
    wanted = args.only or {run.entrant for run in RUNS}
    missing = [run for run in RUNS if run.entrant in wanted and not run.path.exists()]
    if args.what == "run" and missing:
        make(missing, Study(args.model, "test", STRETCHES, rounds=ROUNDS))
    write()


class Study:
    """The model and the chunks that all runs share."""

    def __init__(
        self, model: str, split: Split, stretches: tuple[tuple[str, int], ...], *, rounds: int
    ) -> None:
        loaded = load_model(model, lora=LORA)
        documents = read_stretches(split, stretches)
        self.chunks: list[Chunk] = list(islice(cut_chunks(documents, loaded.tokenizer, LOOP), rounds))
        self._learner = CausalLMLearner(loaded.model)
        self._initial = self._learner.state_dict()

    def play(self, entrant: str, *, base: Base) -> Trace:
        """One entrant on all chunks, with fresh adapters."""
        controller = build_controller(entrant, base=base, fixed=RIGHT, policy="default", price=LOOP.price)
        self._learner.load_state_dict(self._initial)
        return play(controller, self.chunks, self._learner, base=controller.base, config=LOOP)


def read_stretches(split: Split, stretches: tuple[tuple[str, int], ...]) -> Iterator[Document]:
    """Documents of each domain in turn until so many bytes are reached; a domain that comes back goes on."""
    corpus = load_corpus()
    waiting = {domain: iter(corpus.documents(domain, split)) for domain, _ in stretches}
    for segment, (domain, n_bytes) in enumerate(stretches):
        read = 0
        while read < n_bytes:
            document = next(waiting[domain])
            read += len(document.text.encode())
            yield replace(document, segment=segment)


def sweep(study: Study) -> None:
    """Constant rates on training text."""
    for lr in SWEEP_RATES:
        trace = study.play("base", base=replace(RIGHT, lr=lr))
        print(f"lr {lr:g}: {trace.mean_loss_bpb:.4f} bits a byte, {trace.seconds:.0f} s", flush=True)


def make(missing: list[Run], study: Study) -> None:
    """Make runs one after the other, and write each."""
    OUT.mkdir(parents=True, exist_ok=True)
    for number, run in enumerate(missing, start=1):
        print(
            f"{time.strftime('%H:%M:%S')} run {number} of {len(missing)}: {run.entrant} × {run.mult:g}",
            flush=True,
        )
        base = replace(RIGHT, lr=RIGHT.lr * run.mult)
        trace = study.play(run.entrant, base=base)
        row = {
            "entrant": run.entrant,
            "base_lr_mult": run.mult,
            "base": asdict(base),
            "loss_bpb": trace.mean_loss_bpb,
            "model": REQUIREMENT,
            "lora": LORA,
            "loop": {
                "chunk": LOOP.chunk,
                "seq_len": LOOP.seq_len,
                "budget": LOOP.cost.budget,
                "probes": LOOP.probes,
            },
            "corpus_sha256": corpus_sha256(),
            "versions": {name: version(name) for name in ("olrl", "torch", "transformers", "peft")},
            "trace": trace.to_dict(),
        }
        scratch = run.path.with_suffix(".tmp")
        scratch.write_text(json.dumps(row, allow_nan=False) + "\n", encoding="utf-8")
        scratch.replace(run.path)
        print(f"  {trace.mean_loss_bpb:.4f} bits a byte, {trace.seconds:.0f} s", flush=True)


def write() -> None:
    """Figures, a table and a paragraph of the runs that are there."""
    traces = {run: read_trace(run) for run in RUNS if run.path.exists()}
    if not traces:
        raise SystemExit("case_study: there are no runs yet: python scripts/case_study.py run")
    for mult, name in ((WRONG, "wrong"), (1.0, "right")):
        shown = {run: trace for run, trace in traces.items() if run.mult == mult or run.entrant == "fixed"}
        if not shown:
            continue
        rate = "the right base rate" if mult == 1 else f"a base rate {mult:g} times the right one"
        title = f"SmolLM2-135M with adapters, from {rate}"
        style.save(figure(shown, title), OUT / f"{name}.png")
    (OUT / "README.md").write_text(page(traces), encoding="utf-8")
    print(f"wrote {OUT} from {len(traces)} of {len(RUNS)} runs")


def read_trace(run: Run) -> Trace:
    """What a run did."""
    row: dict[str, Any] = json.loads(run.path.read_text(encoding="utf-8"))
    return Trace.from_dict(row["trace"])


def figure(traces: dict[Run, Trace], title: str) -> Figure:
    """Losses of all, decisions of the policy."""
    curves = {
        run.entrant: Curve(
            loss_bpb=t.loss_bpb,
            lr=t.lr,
            batch_size=t.batch_size,
            window=t.window,
            highlight=run.entrant == "policy",
        )
        for run, t in traces.items()
    }
    segments = next(iter(traces.values())).segment
    changes = [0, *(k for k, (a, b) in enumerate(pairwise(segments), start=1) if a != b)]
    named = [(k, STRETCHES[segments[k]][0]) for k in changes]
    return figure_compare(curves, title=title, segments=named)


def page(traces: dict[Run, Trace]) -> str:
    """What was done and what came of it, as Markdown."""
    names = " → ".join(domain for domain, _ in STRETCHES)
    columns = [f"{k + 1}. {domain}" for k, (domain, _) in enumerate(STRETCHES)]
    rows = [_row(run, trace) for run, trace in sorted(traces.items(), key=lambda item: item[1].mean_loss_bpb)]
    return f"""# SmolLM2-135M on a stream that changes its language

SmolLM2-135M-Instruct with adapters ({LORA}) on builtin text: {names}; {ROUNDS} rounds of {LOOP.chunk} sequences of
{LOOP.seq_len} tokens. A round's budget of {LOOP.cost.budget:g} units pays two steps over 4 sequences. The right
rate, {RIGHT.lr:g}, was found on training text; the wrong one is {WRONG:g} times as high. Losses are prequential,
bits per byte; a run that diverges is charged 8 from there on. One run each, so that differences of a hundredth mean
nothing. Made by `scripts/case_study.py`.

| entrant | base rate | loss | {" | ".join(columns)} | sequences trained |
|{"---|" * (len(columns) + 4)}
{chr(10).join(rows)}

![from the wrong rate](wrong.png)
![from the right rate](right.png)
"""


def _row(run: Run, trace: Trace) -> str:
    parts = " | ".join(f"{_stretch_loss(trace, k):.3f}" for k in range(len(STRETCHES)))
    trained = sum(n * size for n, size in zip(trace.updates, trace.batch_size, strict=True))
    diverged = " (diverged)" if trace.diverged else ""
    return f"| `{run.entrant}` | × {run.mult:g} | {trace.mean_loss_bpb:.3f}{diverged} | {parts} | {trained} |"


def _stretch_loss(trace: Trace, stretch: int) -> float:
    rounds = [k for k, segment in enumerate(trace.segment) if segment == stretch]
    bits = sum(trace.loss_bpb[k] * trace.n_bytes[k] for k in rounds)
    return bits / sum(trace.n_bytes[k] for k in rounds)


if __name__ == "__main__":
    main()
