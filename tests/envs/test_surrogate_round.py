import numpy as np

from olrl.control.decision import Decision
from olrl.envs.quadratic_problem import QuadraticRandomisation, draw_problem
from olrl.envs.surrogate_round import update
from olrl.envs.surrogate_state import empty_surrogates, put_problem
from olrl.learners.quadratic import QuadraticLearner

FIGURES = ("train_loss_nats", "grad_norm", "grad_snr", "grad_cos", "update_ratio")


def test_learners_that_diverge_within_a_round_stop_where_the_literal_ones_stop() -> None:
    """Some rates are far beyond stability, and batch sizes differ."""
    problems = [draw_problem(seed, QuadraticRandomisation(adamw=0.5), rounds=5) for seed in range(10)]
    state = empty_surrogates(10, dimension=40, rounds=5)
    for i, problem in enumerate(problems):
        put_problem(state, i, problem)
    learners = state.learners
    literal = [
        QuadraticLearner(start=p.start, curvature=p.curvature, optimizer=p.optimizer, bulk=p.bulk)
        for p in problems
    ]
    rng = np.random.default_rng(0)
    sizes = [1, 1, 2, 4, 1, 1, 1, 8, 1, 3]
    updates = [64, 60, 30, 16, 64, 2, 1, 8, 64, 20]
    nonfinite, scratch = 0, np.empty((6, 40))
    for _ in range(2):
        for i, p in enumerate(problems):
            held = np.empty((64, p.dimension + 1), dtype=np.float32)
            held[:, :-1] = p.optima[0] + rng.standard_normal((64, p.dimension)) / np.sqrt(p.curvature)
            held[:, -1] = rng.random(64)
            slots = rng.integers(64, size=updates[i] * sizes[i])
            lr = p.reference.lr * (1.0 if i % 2 else 1e6)
            learners["lr"][i], learners["batch_size"][i] = lr, sizes[i]
            taken, lost, *figures = update(learners[i], state.vectors[i], held, slots, scratch)
            chunks = np.split(held[slots], updates[i])
            expected = literal[i].update(iter(chunks), Decision(lr=lr, batch_size=sizes[i], window=1))
            assert (taken, lost) == (expected.updates, expected.nonfinite)
            nonfinite += lost
            for name, figure in zip(FIGURES, figures, strict=True):
                given = getattr(expected, name)
                np.testing.assert_allclose(figure, np.nan if given is None else given, rtol=1e-6)
            np.testing.assert_allclose(state.vectors[i, 0, : p.dimension], literal[i].parameters, rtol=1e-6)
    assert nonfinite > 0
