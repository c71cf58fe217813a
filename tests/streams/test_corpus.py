import hashlib
import json
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from olrl.streams import corpus as corpus_module
from olrl.streams.accept import accept_text
from olrl.streams.builtin import DOMAINS, Domain
from olrl.streams.corpus import Corpus, build_corpus, cache_folder, corpus_sha256, load_corpus
from olrl.streams.distributions import dependencies
from olrl.streams.languages import dialogue
from olrl.streams.pieces import MAX_BYTES, SPLITS, Piece, n_bytes

WORD = re.compile(r"[぀-ヿ㐀-鿿가-힯]|\w+")


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load_corpus()


def shingles(text: str) -> set[tuple[str, ...]]:
    words = WORD.findall(text.lower())
    return {tuple(words[i : i + 8]) for i in range(len(words) - 7)}


def test_every_domain_is_there_with_text_enough(corpus: Corpus) -> None:
    assert corpus.domains("test") == tuple(domain.name for domain in DOMAINS)
    for name in corpus.domains("test"):
        assert sum(corpus.text_bytes(name, split) for split in SPLITS) > 100_000, name
        assert corpus.text_bytes(name, "test") > 15_000, name


def test_held_out_domains_lie_in_test_only(corpus: Corpus) -> None:
    assert set(corpus.held_out()) == {"licences", "headers", "italian", "japanese"}
    for split in ("train", "validation"):
        assert set(corpus.domains(split)) == set(corpus.domains("test")) - set(corpus.held_out())


def test_documents_are_usable_and_of_convenient_length(corpus: Corpus) -> None:
    for split in SPLITS:
        for name in corpus.domains(split):
            documents = corpus.documents(name, split)
            assert {document.source for document in documents} == {name}
            assert all(accept_text(document.text) is None for document in documents)
            assert all(300 <= document.n_bytes <= MAX_BYTES for document in documents)
            assert sum(document.n_bytes for document in documents) == corpus.text_bytes(name, split)


def test_no_document_twice(corpus: Corpus) -> None:
    texts = [
        document.text
        for split in SPLITS
        for name in corpus.domains(split)
        for document in corpus.documents(name, split)
    ]
    assert len(texts) == len(set(texts)) > 5000


def test_no_near_duplicates_across_splits(corpus: Corpus) -> None:
    rng = random.Random(0)
    for name in corpus.domains("train"):
        trained: set[tuple[str, ...]] = set()
        for document in corpus.documents(name, "train"):
            trained |= shingles(document.text)
        others = [*corpus.documents(name, "validation"), *corpus.documents(name, "test")]
        for document in rng.sample(others, 15):
            found = shingles(document.text)
            # A pair of declarations of overloaded operators may share half; a copy would share nearly all.
            assert len(found & trained) <= 0.65 * len(found), (name, document.text)


def test_damage_is_noticed(corpus: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(corpus.folder, folder)
    (folder / "manual.test.jsonl").write_text('"something else"\n')
    with pytest.raises(ValueError, match="damaged; delete"):
        Corpus(folder).documents("manual", "test")


def test_unknown_domain_and_split_are_named(corpus: Corpus) -> None:
    with pytest.raises(ValueError, match=r"no builtin domain 'headers' in split 'train'; there are manual"):
        corpus.documents("headers", "train")
    with pytest.raises(ValueError, match="one of train, validation, test, not 'training'"):
        corpus.domains("training")  # type: ignore[arg-type]


def test_hash_covers_all_files(corpus: Corpus) -> None:
    manifest = json.loads((corpus.folder / "manifest.json").read_text())
    for name, entry in manifest["files"].items():
        assert hashlib.sha256((corpus.folder / name).read_bytes()).hexdigest() == entry["sha256"]
    assert corpus_sha256() == corpus.sha256()
    assert len(corpus_sha256()) == 64


def small_domain(name: str) -> Domain:
    def pieces() -> Iterator[Piece]:
        for i in range(200):
            words = [f"{name}{i}word{j}" for j in range(40)]
            yield Piece(text=" ".join(words), group=f"{name} {i}", shelf=name)

    return Domain(name=name, about="made for the test", pieces=pieces)


def test_build_is_the_same_twice_and_survives_a_faster_rival(tmp_path: Path) -> None:
    domains = (small_domain("manual"), small_domain("medical"))
    for name in ("one", "two"):
        build_corpus(tmp_path / name, domains)
    assert Corpus(tmp_path / "one").sha256() == Corpus(tmp_path / "two").sha256()
    build_corpus(tmp_path / "one", domains)  # another process has built it meanwhile
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_near_duplicates_across_domains_stay_in_the_first(tmp_path: Path) -> None:
    copy = Domain(name="medical", about="a copy", pieces=small_domain("manual").pieces)
    build_corpus(tmp_path / "c", (small_domain("manual"), copy))
    assert Corpus(tmp_path / "c").domains("train") == ("manual",)


def test_cache_goes_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("OLRL_CACHE", raising=False)
    assert cache_folder() == tmp_path / "xdg" / "olrl"
    monkeypatch.setenv("OLRL_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


def test_cache_that_cannot_be_written_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("OLRL_CACHE", str(tmp_path / "file"))
    with pytest.raises(ValueError, match="set OLRL_CACHE to a folder that can be written"):
        load_corpus.__wrapped__()  # past the cache in memory


def test_other_package_versions_give_another_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    before = corpus_module.corpus_key()
    monkeypatch.setattr(corpus_module, "dependencies", lambda: {**dependencies(), "numpy": "0.0"})
    assert corpus_module.corpus_key() != before


def test_only_dependencies_are_read() -> None:
    names = dependencies()
    assert {"numpy", "torch", "transformers", "mimesis", "scipy"} <= set(names)
    assert not {"pytest", "hypothesis", "mypy", "ruff", "olrl", "datasets"} & set(names)


def test_conversations_come_as_lines() -> None:
    piece = next(iter(dialogue("english")))
    assert piece.text.count("\n") >= 1
    assert n_bytes(piece.text) < MAX_BYTES
