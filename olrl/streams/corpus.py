"""The builtin corpus: near-duplicates removed, split once and for all, kept on disk after the first build."""

import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from olrl.streams.accept import accept_text
from olrl.streams.builtin import DOMAINS, Domain
from olrl.streams.distributions import dependencies
from olrl.streams.document import Document
from olrl.streams.pieces import MIN_BYTES, SHARES, SPLITS, Piece, Split, join, n_bytes, split_of

if TYPE_CHECKING:
    from olrl.streams.near_duplicates import NearDuplicates

FORMAT = 2  # goes up when the same packages would give other text
DOMAIN_BYTES = 1_000_000  # at most, over all splits
GROUP_BYTES = 40_000  # at most of one file, lest a long one make up a split


class Corpus:
    """Documents of the builtin domains, read from disk when first asked for.

    `folder` is one that `load_corpus` built. Documents come in a stable order, from 300 to about 4,000 bytes
    each, with the domain as their source.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))[
            "files"
        ]
        self._cache: dict[str, tuple[Document, ...]] = {}

    def domains(self, split: Split = "test") -> tuple[str, ...]:
        """Names of the domains that have documents in `split`; in "test" the held-out domains too."""
        _check_split(split)
        return tuple(domain.name for domain in DOMAINS if _file(domain.name, split) in self._files)

    def held_out(self) -> tuple[str, ...]:
        """Names of the domains that lie in the test split only."""
        return tuple(d.name for d in DOMAINS if d.held_out and d.name in self.domains("test"))

    def documents(self, domain: str, split: Split = "test") -> Sequence[Document]:
        """Documents of a domain in a split.

        Raises ValueError for a domain without documents there.
        """
        if domain not in self.domains(split):
            raise ValueError(
                f"there is no builtin domain {domain!r} in split {split!r}; "
                f"there are {', '.join(self.domains(split))}"
            )
        name = _file(domain, split)
        if name not in self._cache:
            self._cache[name] = self._read(name, domain)
        return self._cache[name]

    def text_bytes(self, domain: str, split: Split = "test") -> int:
        """UTF-8 bytes of text of a domain in a split (0 if it has none)."""
        return int(self._files.get(_file(domain, split), {}).get("text_bytes", 0))

    def sha256(self) -> str:
        """One hash over all text, its order and its splits."""
        hashes = {name: entry["sha256"] for name, entry in sorted(self._files.items())}
        return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()

    def _read(self, name: str, domain: str) -> tuple[Document, ...]:
        content = (self.folder / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != self._files[name]["sha256"]:
            raise ValueError(
                f"{self.folder / name} is damaged; delete {self.folder} and it will be built anew"
            )
        texts = (json.loads(line) for line in content.decode("utf-8").splitlines())
        return tuple(Document(text=text, source=domain) for text in texts)


@cache
def load_corpus() -> Corpus:
    """The corpus of this installation; the first call builds it (10-20 s), later ones take milliseconds.

    It lies under $OLRL_CACHE, else $XDG_CACHE_HOME/olrl, else ~/.cache/olrl, in a folder named after a hash
    of the versions of Python and of all dependencies. Several processes may call this at once.
    """
    folder = cache_folder() / f"corpus-{corpus_key()}"
    if not (folder / "manifest.json").exists():
        try:
            build_corpus(folder)
        except OSError as error:
            raise ValueError(
                f"the builtin text cannot be kept in {str(folder.parent)!r} ({error.strerror}); "
                "set OLRL_CACHE to a folder that can be written"
            ) from error
    return Corpus(folder)


def corpus_sha256() -> str:
    """The hash of this installation's corpus, for records of what a result was measured on."""
    return load_corpus().sha256()


def cache_folder() -> Path:
    """Where things are kept that can be built again."""
    if own := os.environ.get("OLRL_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "olrl"


def build_corpus(folder: Path, domains: Sequence[Domain] = DOMAINS) -> None:
    """Build the corpus into `folder`, which appears complete or not at all."""
    from olrl.streams.near_duplicates import NearDuplicates  # brings scipy: 0.3 s that only a build need pay

    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".corpus-", dir=folder.parent))
    try:
        seen, files = NearDuplicates(), {}
        for domain in domains:
            files.update(_build_domain(domain, seen, scratch))
        manifest = {"format": FORMAT, "versions": _versions(), "files": files}
        (scratch / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        scratch.rename(folder)
    except OSError:
        if not (folder / "manifest.json").exists():  # else another process was faster: its result is the same
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _build_domain(domain: Domain, seen: "NearDuplicates", scratch: Path) -> dict[str, Any]:
    texts: dict[Split, list[str]] = {split: [] for split in SPLITS}
    for split, text in join(_kept(domain, seen), held_out=domain.held_out):
        texts[split].append(text)
    return {
        _file(domain.name, split): _write(scratch, domain.name, split, texts[split])
        for split in SPLITS
        if texts[split]
    }


def _kept(domain: Domain, seen: "NearDuplicates") -> Iterator[Piece]:
    """New pieces, until every split of the domain is full; no single group may fill one."""
    room = {"test": DOMAIN_BYTES} if domain.held_out else {s: int(SHARES[s] * DOMAIN_BYTES) for s in SPLITS}
    taken: Counter[str] = Counter()
    for piece in domain.pieces():
        split = "test" if domain.held_out else split_of(piece.group)
        size = n_bytes(piece.text)
        if room[split] < size or taken[piece.group] + size > GROUP_BYTES or accept_text(piece.text):
            continue
        if seen.is_new(piece.text):
            room[split] -= size
            taken[piece.group] += size
            yield piece
        if all(left < MIN_BYTES for left in room.values()):
            return


def _write(scratch: Path, domain: str, split: Split, texts: list[str]) -> dict[str, Any]:
    content = "".join(json.dumps(text) + "\n" for text in texts).encode()
    (scratch / _file(domain, split)).write_bytes(content)
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "documents": len(texts),
        "text_bytes": sum(map(n_bytes, texts)),
    }


def _file(domain: str, split: Split) -> str:
    return f"{domain}.{split}.jsonl"


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **dependencies()}


def corpus_key() -> str:
    """What the cached corpus is named by: a hash of all that its text depends on."""
    return hashlib.sha256(json.dumps([FORMAT, _versions()], sort_keys=True).encode()).hexdigest()[:16]


def _check_split(split: str) -> None:
    if split not in SPLITS:
        raise ValueError(f"a split is one of {', '.join(SPLITS)}, not {split!r}")
