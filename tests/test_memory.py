import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olrl.draws import uniforms
from olrl.memory import Memory, admission_slots


def filled(chunks: int, *, chunk_size: int = 4, reservoir_size: int = 8, seed: int = 0) -> Memory:
    """Chunk k holds the value k in every example."""
    memory = Memory(
        chunk_size=chunk_size, example_shape=(2,), dtype=np.int32, reservoir_size=reservoir_size, seed=seed
    )
    for k in range(chunks):
        memory.add(np.full((chunk_size, 2), k, dtype=np.int32))
    return memory


@given(chunks=st.integers(1, 150), window=st.sampled_from([1, 2, 4, 8, 16, 32, 64]))
def test_a_window_draws_from_the_newest_chunks_only(chunks: int, window: int) -> None:
    drawn = filled(chunks).draw(round_=3, window=window, start=0, count=200)[:, 0]
    assert drawn.min() >= max(0, chunks - window)
    assert drawn.max() <= chunks - 1


def test_a_window_reaches_back_to_its_oldest_chunk() -> None:
    drawn = filled(100).draw(round_=3, window=64, start=0, count=5_000)[:, 0]
    assert set(drawn) == set(range(36, 100))


def test_draws_do_not_depend_on_how_they_are_cut_into_batches() -> None:
    memory = filled(10)
    whole = memory.draw(round_=5, window=8, start=0, count=12)
    parts = [memory.draw(round_=5, window=8, start=k, count=4) for k in (0, 4, 8)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_draws_are_those_of_the_moment_whatever_was_drawn_before() -> None:
    memory = filled(3)
    for chunks in range(3, 9):
        for round_, window, start, count in [
            (1, 4, 0, 3),
            (1, 4, 70, 9),
            (1, 0, 2, 5),
            (2, 4, 1, 3),
            (1, 4, 2, 3),
        ]:
            drawn = memory.draw(round_=round_, window=window, start=start, count=count)
            fresh = filled(chunks).draw(round_=round_, window=window, start=start, count=count)
            np.testing.assert_array_equal(drawn, fresh)
        memory.add(np.full((4, 2), chunks, dtype=np.int32))
    loaded, other = filled(2), filled(4)
    loaded.draw(round_=1, window=4, start=0, count=3)
    loaded.load_state_dict(other.state_dict())
    for memory in (loaded, other):
        drawn = memory.draw(round_=1, window=4, start=0, count=30)
        np.testing.assert_array_equal(drawn, filled(4).draw(round_=1, window=4, start=0, count=30))


def test_of_the_places_of_a_chunk_in_the_reservoir_the_last_one_counts() -> None:
    assert np.sum(admission_slots(0, np.arange(200), size=3) < 3) > 3
    memory = Memory(chunk_size=200, example_shape=(), dtype=np.int64, reservoir_size=3, seed=0)
    held = np.zeros(3, dtype=np.int64)
    for first in (0, 200):
        memory.add(np.arange(first, first + 200))
        for number, slot in enumerate(admission_slots(0, np.arange(first, first + 200), size=3), first):
            if slot < 3:
                held[slot] = number
    np.testing.assert_array_equal(memory.state_dict()["reservoir"], held)


def test_the_reservoir_is_a_uniform_sample_of_everything() -> None:
    counts = np.zeros(40)
    for seed in range(400):
        memory = filled(40, chunk_size=1, reservoir_size=10, seed=seed)
        counts[memory._reservoir[:, 0]] += 1
    # each of 40 examples is held with probability 1/4: 100 times of 400, standard deviation 8.7
    assert np.abs(counts - 100).max() < 5 * 8.7
    assert abs(counts[:20].sum() - counts[20:].sum()) < 5 * np.sqrt(20) * 8.7


def test_oldest_is_the_far_end_of_the_window() -> None:
    memory = filled(70)
    assert memory.oldest(1)[0, 0] == 69
    assert memory.oldest(8)[0, 0] == 62
    assert memory.oldest(64)[0, 0] == 6
    assert filled(3).oldest(64)[0, 0] == 0


def test_wrong_shapes_and_empty_memories_are_refused_in_a_sentence() -> None:
    memory = filled(0)
    with pytest.raises(ValueError, match="empty"):
        memory.draw(round_=0, window=1, start=0, count=1)
    with pytest.raises(ValueError, match="shape"):
        memory.add(np.zeros((3, 2), dtype=np.int32))


def literal_uniform(seed: int, round_: int, index: int) -> float:
    """A hash of the key by SplitMix64, as it is defined."""
    word, golden = 2**64, 0x9E3779B97F4A7C15
    z = golden
    for part in (seed, round_, index):
        z = (z + part * golden) % word
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % word
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % word
        z = z ^ (z >> 31)
    return (z >> 11) / 2**53


_word = st.integers(0, 2**64 - 1)


@given(
    seed=_word, rounds=st.lists(_word, min_size=1, max_size=4), index=st.lists(_word, min_size=1, max_size=4)
)
def test_keyed_uniforms_are_the_hash_of_their_key(seed: int, rounds: list[int], index: list[int]) -> None:
    expected = [[literal_uniform(seed, round_, k) for k in index] for round_ in rounds]
    words = np.array(index, dtype=np.uint64)
    assert [uniforms(seed, round_, words).tolist() for round_ in rounds] == expected
    of_arrays = uniforms([seed], np.array(rounds, dtype=np.uint64)[:, None], words)
    assert of_arrays.tolist() == expected
    assert uniforms(np.uint64(seed), rounds[0], index[0]).tolist() == [expected[0][0]]


def test_a_key_may_be_negative() -> None:
    assert uniforms(-1, 2, -3) == uniforms(2**64 - 1, 2, 2**64 - 3)


def test_keyed_uniforms_are_uniform_and_independent_across_keys() -> None:
    u = uniforms(1, np.arange(300)[:, None], np.arange(64)[None])
    assert abs(u.mean() - 0.5) < 5 * np.sqrt(1 / 12 / u.size)
    assert abs(np.corrcoef(u[:-1].ravel(), u[1:].ravel())[0, 1]) < 0.03
    assert abs(np.corrcoef(u[:, :-1].ravel(), u[:, 1:].ravel())[0, 1]) < 0.03
    assert abs(np.corrcoef(u.ravel(), uniforms(2, *np.indices((300, 64))).ravel())[0, 1]) < 0.03
    assert np.histogram(u, bins=16, range=(0, 1))[0].min() > u.size / 16 * 0.9
