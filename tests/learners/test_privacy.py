import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from olrl.assembly import LoopConfig, assemble_loop, cut_chunks
from olrl.control.controller import Controller
from olrl.control.decision import Base, Decision
from olrl.control.guard import Guard
from olrl.control.hypergradient import Hypergradient
from olrl.control.policy import load_policy
from olrl.control.rate_only import RateOnly
from olrl.deployment import Deployment
from olrl.interrupt import Interrupt
from olrl.learners.cost import CostModel
from olrl.learners.library_network import LibraryNetwork
from olrl.learners.poisson import PoissonSampling
from olrl.learners.privacy import CONTROLLERS, WITHHELD, Guarantee, PrivacyConfig
from olrl.learners.private_lm import PrivateLMLearner, clipped
from olrl.models.load import LoadedModel, load_model
from olrl.monitor.signals import Signals
from olrl.run import run
from olrl.run_config import RunConfig
from olrl.run_folder import read_json_lines
from olrl.streams.document import Document
from olrl.streams.tokens import ByteTokenizer
from tests.deployed import SECRET, quick, write_stream

BASE = Base(lr=1e-2, batch_size=4, window=2)


def private_learner(**settings: Any) -> tuple[LoadedModel, PrivateLMLearner]:
    loaded = load_model("pico")
    plain: dict[str, Any] = {"noise": 1.0, "clip": 0.5, "expected": 4}
    generator = torch.Generator().manual_seed(0)
    return loaded, PrivateLMLearner(loaded.model, generator=generator, **{**plain, **settings})


def sequences(count: int, *, seed: int = 0) -> NDArray[np.int32]:
    return np.random.default_rng(seed).integers(32, 127, size=(count, 17)).astype(np.int32)


def batches(*given: NDArray[np.int32]) -> Iterator[NDArray[np.int32]]:
    return iter(given)


def test_the_epsilon_in_the_report_is_that_of_opacus(tmp_path: Path) -> None:
    from opacus.accountants import RDPAccountant

    stream = write_stream(tmp_path / "mail.jsonl")
    config = quick(stream, out=tmp_path / "run", base_batch=4, base_window=4, dp_noise=1.1, dp_delta=1e-4)
    result = run(replace(config, rounds=6))
    accountant = RDPAccountant()
    rate, updates = 4 / (4 * 4), config.cost.updates(4)  # a window of 4 chunks of 4 sequences
    for _ in range(4 * updates):  # the steps of the 4 rounds that an example spends in the window
        accountant.step(noise_multiplier=1.1, sample_rate=rate)
    told = result.folder.report.read_text()
    assert f"(ε = {accountant.get_epsilon(delta=1e-4):.4g}, δ = 0.0001)" in told
    assert f"q = {rate:.6g}" in told
    assert f"at most {4 * updates} steps" in told
    assert "a sequence of predicted tokens" in told
    assert result.folder.read_config()["privacy"]["sample_rate"] == rate


def test_an_epsilon_asked_for_is_kept_to() -> None:
    asked = PrivacyConfig(epsilon=2.0)
    found = Guarantee.of(asked, base=BASE, chunk=16, cost=CostModel())
    assert 1.9 < found.epsilon <= 2.0
    less = Guarantee.of(replace(asked, epsilon=1.0), base=BASE, chunk=16, cost=CostModel())
    assert less.noise > found.noise


class Watching(Controller):
    """Remembers what it was shown."""

    def __init__(self, controller: Controller) -> None:
        super().__init__(base=controller.base)
        self.inner = controller
        self.seen: list[Signals] = []

    def decide(self, signals: Signals) -> Decision:
        self.seen.append(signals)
        return self.inner.decide(signals)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class WatchingGuard(Guard):
    """Remembers what it was shown."""

    def __init__(self, *, base: Base) -> None:
        super().__init__(base=base)
        self.seen: list[Signals] = []

    def check(self, decision: Decision, signals: Signals, **options: Any) -> tuple[Decision, str | None]:
        self.seen.append(signals)
        return super().check(decision, signals, **options)


def hypergradient() -> Controller:
    return Hypergradient(base=BASE)


def policy() -> Controller:
    """The policy that ships."""
    return load_policy("default").controller(base=BASE)


def watched(
    texts: list[str], *, controller: Callable[[], Controller] = hypergradient, blind: bool = False
) -> tuple[list[Signals], list[Signals]]:
    """What controller and guard see of a private run; `blind`: no gradient of any text reaches the learner."""
    _, learner = private_learner()
    if blind:
        learner._clipped_sum = lambda batch: torch.zeros_like(learner._flat.values)  # type: ignore[method-assign]
    config = LoopConfig(chunk=4, seq_len=16, masked=WITHHELD, probes=0)
    chunks = cut_chunks([Document(text=text) for text in texts], ByteTokenizer(), config)
    sampling = PoissonSampling(rate=0.5, updates=3, rng=np.random.default_rng(0))
    watching, guard = Watching(controller()), WatchingGuard(base=BASE)
    deployment = Deployment(
        assemble_loop(chunks, learner, base=BASE, config=config, sampling=sampling),
        controller=RateOnly(watching),
        guard=guard,
        interrupt=Interrupt(),
        limit=8,
        loss_withheld=True,
    )
    outcomes = list(deployment.rounds())
    assert len(outcomes) == 8
    assert all(outcome.guard is None for outcome in outcomes)
    return watching.seen, guard.seen


def assert_no_loss_in(seen: list[Signals]) -> None:
    for signals in seen:
        for name in WITHHELD - {"alarms", "rounds_since_alarm"}:
            assert getattr(signals, name) is None
        assert (signals.alarms, signals.rounds_since_alarm, signals.nonfinite) == ((), 0, 0)
    assert any(signals.grad_norm is not None for signals in seen)


@pytest.mark.parametrize("controller", [hypergradient, policy])
def test_controller_and_guard_never_see_a_loss_that_was_not_noised(
    controller: Callable[[], Controller],
) -> None:
    for seen in watched(["so it goes, on and on, and the pen was dry. " * 20], controller=controller):
        assert len(seen) == 8
        assert_no_loss_in(seen)


@pytest.mark.parametrize("controller", [hypergradient, policy])
def test_nothing_of_the_text_reaches_them_but_through_the_gradients(
    controller: Callable[[], Controller],
) -> None:
    # With all gradients of texts taken out, two streams without a word in common must look the same.
    one = watched(["so it goes, on and on, and the pen was dry. " * 20], controller=controller, blind=True)
    other = watched(["ÄÖÜ 0123456789 " * 60], controller=controller, blind=True)
    assert one == other
    assert watched(["so it goes, on and on, and the pen was dry. " * 20], controller=controller) != one


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_a_private_run_shows_its_controller_no_loss_whichever_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, controller: str
) -> None:
    """As `olrl run` puts the parts together, with a loss in every chunk that was scored."""
    seen: list[Signals] = []
    decide, check = RateOnly.decide, Guard.check

    def deciding(self: RateOnly, signals: Signals) -> Decision:
        seen.append(signals)
        return decide(self, signals)

    def checking(self: Guard, decision: Decision, signals: Signals, **options: Any) -> Any:
        seen.append(signals)
        return check(self, decision, signals, **options)

    monkeypatch.setattr(RateOnly, "decide", deciding)
    monkeypatch.setattr(Guard, "check", checking)
    stream = write_stream(tmp_path / "mail.jsonl")
    private: dict[str, Any] = {"base_batch": 4, "base_window": 4, "dp_noise": 1.0, "model": "pico"}
    run(quick(stream, out=tmp_path / "run", controller=controller, rounds=6, **private))
    assert len(seen) == 2 * 6
    assert_no_loss_in(seen)


def test_no_loss_and_no_text_is_written_to_the_files_of_a_private_run(tmp_path: Path) -> None:
    stream = write_stream(tmp_path / "mail.jsonl")
    settings = {
        "base_batch": 4,
        "base_window": 4,
        "dp_noise": 1.0,
        "rounds": 5,
        "controller": "hypergradient",
    }
    result = run(quick(stream, out=tmp_path / "run", **settings))
    rows = read_json_lines(result.folder.decisions)
    assert [row["loss_bpb"] for row in rows] == [None] * 5
    assert all((row["batch_size"], row["window"], row["update"]) == (4, 4, True) for row in rows)
    assert len({row["lr"] for row in rows}) > 1
    assert [row["guard"] for row in rows] == [None] * 5
    told = result.folder.report.read_text()
    assert "withheld" in told
    assert "8.0000" not in told
    for path in result.folder.path.glob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes()
    curves = EventAccumulator(str(result.folder.path)).Reload().Tags()["scalars"]
    assert curves
    assert not [tag for tag in curves if "loss" in tag]


def test_the_noise_has_the_size_that_is_accounted_for() -> None:
    _, learner = private_learner(noise=3.0, clip=0.5, expected=4)
    gradient = learner._private_gradient(sequences(0))  # an empty batch is noise alone
    assert float(gradient.std()) == pytest.approx(3.0 * 0.5 / 4, rel=0.02)
    assert float(gradient.mean()) == pytest.approx(0.0, abs=0.01)


def test_noise_is_drawn_anew_for_each_run_and_each_step() -> None:
    loaded = load_model("pico")
    made = [PrivateLMLearner(loaded.model, noise=1.0, clip=1.0, expected=1) for _ in range(2)]
    drawn = [learner._private_gradient(sequences(0)) for learner in (*made, made[0])]
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("model", ["pico", "femto"])
def test_each_sequence_adds_its_own_gradient_cut_to_the_clip(model: str) -> None:
    loaded = load_model(model)
    learner = PrivateLMLearner(loaded.model, noise=1.0, clip=0.5, expected=4)
    given = sequences(5)
    flat, network = learner._flat, LibraryNetwork(loaded.model)
    expected = torch.zeros_like(flat.values)
    for one in given:
        flat.grads.zero_()
        tokens = torch.from_numpy(one.astype(np.int64))[None, None]
        network.add_gradients(flat.values.detach()[None], tokens, to=flat.grads[None], scale=torch.ones(1, 1))
        expected += flat.grads * min(1.0, 0.5 / float(flat.grads.norm()))
    found = learner._clipped_sum(given)
    assert float((found - expected).norm()) < 1e-4 * float(expected.norm())


def test_a_single_sequence_moves_the_sum_by_no_more_than_the_clip() -> None:
    _, learner = private_learner(clip=0.25)
    given = sequences(6)
    moved = learner._clipped_sum(given) - learner._clipped_sum(given[1:])
    assert 0 < float(moved.norm()) <= 0.25 * (1 + 1e-4)


def test_a_gradient_that_is_not_finite_counts_for_nothing() -> None:
    rows = torch.tensor([[math.inf, 0.0], [math.nan, 1.0], [1e38, 1e38], [0.0, 0.0]])
    found = clipped(rows, 1.0)
    assert bool(found.isfinite().all())
    assert float(found.norm(dim=1).max()) <= 1.0


def test_what_is_told_of_a_round_holds_no_size_and_no_loss_of_the_sample() -> None:
    _, learner = private_learner()
    decision = BASE.decision()
    told = learner.update(batches(sequences(7), sequences(0)), decision)
    assert (told.updates, told.examples, told.train_loss_nats, told.grad_snr) == (2, 8, None, None)
    again = learner.update(batches(sequences(1), sequences(3)), decision)
    assert (again.updates, again.examples) == (2, 8)
    assert again.grad_cos is not None


def test_a_private_learner_learns_where_noise_is_small() -> None:
    _, learner = private_learner(noise=0.01, clip=1.0, expected=8)
    given = np.tile(sequences(1), (8, 1))
    before = learner.score(given).mean()
    for _ in range(5):
        learner.update(batches(given, given), BASE.decision())
    assert learner.score(given).mean() < before - 0.3


def test_a_sample_has_each_example_with_the_same_chance_on_its_own() -> None:
    sampling = PoissonSampling(rate=0.25, updates=2000, rng=np.random.default_rng(0))
    drawn = list(sampling.batches(np.arange(8)))
    counts = np.bincount(np.concatenate(drawn), minlength=8) / 2000
    assert np.abs(counts - 0.25).max() < 0.04
    sizes = np.array([len(batch) for batch in drawn])
    assert sizes.var() == pytest.approx(8 * 0.25 * 0.75, rel=0.15)
    assert (sizes == 0).any()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"dp_clip": 2.0}, "dp clip has no effect without --dp-noise or --dp-epsilon"),
        ({"dp_noise": 1.0, "dp_epsilon": 1.0}, "either a noise or an epsilon"),
        ({"dp_noise": 0.0}, "dp noise must be a positive number"),
        ({"dp_noise": 1.0, "dp_delta": 1.0}, "dp delta must be between 0 and 1"),
        ({"dp_noise": 1.0, "controller": "gns-batch"}, "batch, window and the number of steps must be fixed"),
        ({"dp_noise": 1.0, "controller": "drift-reset"}, "losses and alarms are withheld"),
        ({"dp_noise": 1.0, "controller": "skip-periodic"}, "of which only the rate is obeyed"),
    ],
)
def test_what_does_not_go_with_privacy_is_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        RunConfig(stream="a.jsonl", **{"controller": "base", **settings})


@pytest.mark.parametrize(
    ("base", "chunk", "told"),
    [
        (replace(BASE, window=0), 16, "needs a sliding window"),
        (Base(lr=1e-3, batch_size=64, window=2), 16, "draws a batch of 64 from the 32 sequences"),
    ],
)
def test_a_base_without_a_guarantee_is_refused(base: Base, chunk: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Guarantee.of(PrivacyConfig(noise=1.0), base=base, chunk=chunk, cost=CostModel())
