import numpy as np

from olrl.control.decision import Decision
from olrl.envs.batched_quadratic import BatchedQuadratic
from olrl.envs.quadratic_problem import QuadraticRandomisation, draw_problem
from olrl.envs.training_batches import gather_batches
from olrl.learners.quadratic import QuadraticLearner


def test_learners_that_diverge_within_a_round_stop_where_the_literal_ones_stop() -> None:
    """Some rates are far beyond stability, some learners do not train, batch sizes differ."""
    problems = [draw_problem(seed, QuadraticRandomisation(adamw=0.5), rounds=5) for seed in range(10)]
    batched = BatchedQuadratic(10, 40)
    batched.reset(np.arange(10), problems)
    literal = [
        QuadraticLearner(start=p.start, curvature=p.curvature, optimizer=p.optimizer, bulk=p.bulk)
        for p in problems
    ]
    rng = np.random.default_rng(0)
    sizes = np.array([1, 1, 2, 4, 1, 1, 1, 8, 1, 3])
    updates = np.array([64, 60, 30, 16, 64, 0, 1, 8, 64, 20])
    lr = np.array([p.reference.lr for p in problems]) * np.where(np.arange(10) % 2, 1.0, 1e6)
    nonfinite = 0
    for round_ in range(2):
        rows = rng.integers(640, size=(10, 64)) % 64 + np.arange(10)[:, None] * 64
        targets = np.zeros((640, 41), dtype=np.float32)
        weights = np.zeros(640)
        for i, p in enumerate(problems):
            near = p.optima[0] + rng.standard_normal((64, len(p.start))) / np.sqrt(p.curvature)
            targets[i * 64 : i * 64 + 64, : len(p.start)] = near
            targets[i * 64 : i * 64 + 64, -1] = rng.random(64)
            exact = targets[i * 64 : i * 64 + 64].astype(np.float64)
            weights[i * 64 : i * 64 + 64] = exact**2 @ batched.curvature[i] + 2 * exact[:, -1]
        batches = gather_batches(targets, weights, batched.curvature, rows=rows, sizes=sizes, updates=updates)
        reports = batched.update(batches, lr)
        assert set(batches.order) == set(np.flatnonzero(updates))
        for place, i in enumerate(batches.order):
            drawn = np.delete(targets[rows[i]], np.s_[len(problems[i].start) : -1], axis=1)
            chunks = [drawn[k * sizes[i] : (k + 1) * sizes[i]] for k in range(updates[i])]
            decision = Decision(lr=float(lr[i]), batch_size=int(sizes[i]), window=1)
            expected = literal[i].update(iter(chunks), decision)
            assert reports.updates[place] == expected.updates
            assert reports.nonfinite[place] == expected.nonfinite
            nonfinite += expected.nonfinite
            if round_ == 0 or i % 2:  # a diverged learner would have ended its episode by now
                for name in ("train_loss_nats", "grad_norm", "grad_snr", "grad_cos", "update_ratio"):
                    given = getattr(expected, name)
                    np.testing.assert_allclose(
                        getattr(reports, name)[place], np.nan if given is None else given, rtol=1e-6
                    )
            np.testing.assert_allclose(
                batched.parameters[i, : len(problems[i].start)], literal[i].parameters, rtol=1e-6
            )
    assert nonfinite > 0
