import numpy as np
import torch
from schedulefree import AdamWScheduleFree

from olrl.agents.rivals.schedule_free import schedule_free_adamw
from olrl.control.decision import Decision
from olrl.learners.causal_lm import CausalLMLearner
from olrl.models.byte_level import ByteModelShape, build_model
from tests.agents.rivals.runs import BASE, run

TINY = ByteModelShape(width=8, layers=1, heads=2, mlp=16)
DECISION = Decision(lr=1e-2, batch_size=4, window=1)


def batches(count: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    return np.random.default_rng(seed).integers(1, 200, size=(count, 4, 9)).astype(np.int32)


def test_chunks_are_scored_with_the_averaged_weights_not_with_those_trained() -> None:
    """Against the package in a plain loop: eval() to score, train() to train."""
    mine = CausalLMLearner(build_model(TINY, seed=0), optimizer=schedule_free_adamw)
    theirs = build_model(TINY, seed=0)
    optimizer = AdamWScheduleFree(theirs.parameters(), lr=1e-2, betas=(0.9, 0.999))
    for k in range(4):
        given = batches(5, seed=k)
        optimizer.train()
        for batch in given:
            tokens = torch.from_numpy(batch.astype(np.int64))
            logits = theirs(input_ids=tokens[:, :-1]).logits
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
            optimizer.step()
        trained = torch.cat([p.detach().flatten() for p in theirs.parameters()])
        optimizer.eval()
        mine.update(iter(given), DECISION)
        averaged = torch.cat([p.detach().flatten() for p in theirs.parameters()])
        own = torch.from_numpy(mine.state_dict()["values"])
        # A weight whose gradients are hardly more than rounding moves by Adam as far as any other: some may differ.
        off, moved = (own - averaged).abs(), (own - trained).abs()
        assert float(off.mean()) < 0.01 * float(moved.mean())
        assert float(off.max()) < 0.1 * float(moved.max())


def test_its_rate_is_the_bases_times_a_factor() -> None:
    assert set(run("schedule-free", lr_factor=4.0).lr) == {4 * BASE.lr}


def test_a_run_leaves_nothing_for_the_next_that_shares_its_model() -> None:
    before = run("fixed").loss_bpb
    run("schedule-free")
    run("prodigy")
    assert run("fixed").loss_bpb == before
