import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from olrl.learners.schedule import Schedule

sizes = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 4)), min_size=1, max_size=6)


@given(sizes=sizes, at_once=st.integers(1, 4), pass_size=st.integers(1, 8))
def test_every_sequence_of_every_batch_counts_once_and_in_its_batch(
    sizes: list[tuple[int, int]], at_once: int, pass_size: int
) -> None:
    batch_size, updates = (np.array(column) for column in zip(*sizes, strict=True))
    schedule = Schedule.of(batch_size, updates, at_once=at_once)
    seen: dict[int, list[float]] = {int(i): [] for i in np.flatnonzero(updates)}
    steps = dict.fromkeys(seen, 0)
    halves = dict.fromkeys(seen, 0)
    for rows in schedule.blocks(pass_size):
        block = schedule.part(rows)
        assert len(block.learners) * int(block.width[0]) <= max(pass_size, int(block.width[0]))
        for piece in range(block.pieces):
            sequences, counts = block.examples(piece)
            for i, row, count in zip(block.learners.tolist(), sequences, counts, strict=False):
                assert row.max() < batch_size[i] * updates[i]
                assert row[count > 0].tolist() == list(range(len(seen[i]), len(seen[i]) + (count > 0).sum()))
                seen[i] += count[count > 0].tolist()
            for k in block.halves(piece):
                i = int(block.learners[k])
                halves[i] += 1
                assert len(seen[i]) == batch_size[i] // 2
            for run in block.ends(piece):
                for k in range(run.start, run.stop):
                    i = int(block.learners[k])
                    steps[i] += 1
                    assert len(seen[i]) == steps[i] * batch_size[i]
    for i, counts_of in seen.items():
        np.testing.assert_allclose(counts_of, 1 / batch_size[i])
        assert steps[i] == updates[i]
        assert halves[i] == (batch_size[i] > 1)


def test_nobody_trains() -> None:
    schedule = Schedule.of(np.array([2, 4]), np.array([0, 0]), at_once=2)
    assert list(schedule.blocks(16)) == []
