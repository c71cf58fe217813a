from olrl.streams.corpus import load_corpus
from olrl.streams.release_notes import in_order_of_time, release_notes


def test_notes_come_in_the_order_of_time_though_projects_write_the_newest_first() -> None:
    projects = release_notes()
    assert projects
    for notes in projects.values():
        times = [str(note.time) for note in notes]
        assert times == sorted(times)
        assert times[0] < times[-1]
    merged = in_order_of_time(projects.values())
    assert len(merged) == sum(map(len, projects.values()))
    assert [str(note.time) for note in merged] == sorted(str(note.time) for note in merged)


def test_nothing_that_a_model_was_pretrained_on_is_read_again() -> None:
    texts = {d.text for split in ("train", "validation") for d in load_corpus().documents("readmes", split)}
    assert not [note for notes in release_notes().values() for note in notes if note.text in texts]
