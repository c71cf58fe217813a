"""Text under exchanges of letters: as far from all that a model knows as another language, to train on.

A controller that has only met the domains which its models were pretrained on has not seen a loss that starts
high and falls for a hundred rounds. Exchanged letters keep what makes text learnable (words, their order,
repetition) and take away what a model knows of it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from olrl.streams.document import Document
from olrl.streams.pieces import Split

if TYPE_CHECKING:
    from olrl.streams.drift import TextSource

# Letters of scripts that no builtin domain is written in, but the first: 1, 2, 2, 2, 3, 3 and 3 bytes each.
ALPHABETS: Final[dict[str, str]] = {
    "latin": "".join(map(chr, range(0x61, 0x7B))),
    "greek": "".join(map(chr, range(0x3B1, 0x3C9))),
    "armenian": "".join(map(chr, range(0x561, 0x587))),
    "hebrew": "".join(map(chr, range(0x5D0, 0x5EB))),
    "georgian": "".join(map(chr, range(0x10D0, 0x10F1))),
    "thai": "".join(map(chr, range(0xE01, 0xE2F))),
    "ethiopic": "".join(map(chr, range(0x1208, 0x1248))),
}


class CipheredCorpus:
    """A corpus whose every domain is there a second time, its letters exchanged for those of another alphabet.

    `seed` decides alphabets and exchanges: another one gives other text. "dutch" is joined by "dutch~thai", say. In
    "~ethiopic" two letters that follow one another become one sign, as in a script of syllables.

    >>> from olrl.streams.corpus import load_corpus
    >>> corpus = CipheredCorpus(load_corpus(), seed=1)
    >>> [name for name in corpus.domains("train") if name.startswith("dutch")]
    ['dutch', 'dutch~armenian']
    """

    def __init__(self, corpus: "TextSource", *, seed: int) -> None:
        self._corpus = corpus
        rng = np.random.default_rng([seed, 0xC1])
        self._ciphers: dict[str, tuple[str, _Cipher]] = {}
        for name in corpus.domains("train"):
            alphabet = list(ALPHABETS)[int(rng.integers(len(ALPHABETS)))]
            self._ciphers[f"{name}~{alphabet}"] = (name, _Cipher(alphabet, rng))
        self._read: dict[tuple[str, Split], Sequence[Document]] = {}

    def domains(self, split: Split) -> tuple[str, ...]:
        """All domains of the corpus, then their ciphered forms."""
        known = self._corpus.domains(split)
        return (*known, *(new for new, (name, _) in self._ciphers.items() if name in known))

    def documents(self, domain: str, split: Split) -> Sequence[Document]:
        """Documents of a domain in a split."""
        if domain not in self._ciphers:
            return self._corpus.documents(domain, split)
        if (domain, split) not in self._read:
            name, cipher = self._ciphers[domain]
            self._read[domain, split] = [
                Document(text=cipher.applied(one.text), source=domain)
                for one in self._corpus.documents(name, split)
            ]
        return self._read[domain, split]

    def text_bytes(self, domain: str, split: Split) -> int:
        """UTF-8 bytes of text of a domain in a split."""
        return sum(len(one.text.encode()) for one in self.documents(domain, split))


class _Cipher:
    """One sign for each letter, whatever its case; or one for two letters that follow one another."""

    def __init__(self, alphabet: str, rng: np.random.Generator) -> None:
        signs = ALPHABETS[alphabet]
        self._signs = [signs[i] for i in rng.permutation(len(signs))]
        self._pairs = alphabet == "ethiopic"

    def applied(self, text: str) -> str:
        out: list[str] = []
        waiting = -1
        for character in text:
            if not character.isalpha():
                waiting = -1
                out.append(character)
                continue
            letter = ord(character.lower()[0])
            if self._pairs and waiting >= 0:
                out[-1] = self._signs[(waiting * 31 + letter) % len(self._signs)]
                waiting = -1
                continue
            out.append(self._signs[letter % len(self._signs)])
            waiting = letter
        return "".join(out)
