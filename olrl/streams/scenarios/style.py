"""Text whose style changes: builtin prose, one domain after the other."""

from collections.abc import Sequence

import numpy as np

from olrl.streams.corpus import load_corpus
from olrl.streams.document import Document
from olrl.streams.drift import DriftConfig, drift_stream
from olrl.streams.scenarios.scenario import TUNING

STYLES = ("manual", "licences", "medical", "dialogue", "readmes", "docstrings")
STREAM_BYTES = 72_000
STRETCH_BYTES = (10_000, 20_000)


def styles(number: int) -> Sequence[Document]:
    """72 kB of builtin text of the test split in styles of 10 to 20 kB each; versions are draws.

    The one for tuning is of the training split, which has no licences.
    """
    tuning = number == TUNING
    corpus = load_corpus()
    known = corpus.domains("train" if tuning else "test")
    config = DriftConfig(
        kind="abrupt",
        n_bytes=STREAM_BYTES,
        segment_bytes=STRETCH_BYTES,
        domains=tuple(name for name in STYLES if name in known),
        split="train" if tuning else "test",
        seed=int(np.random.SeedSequence([number + 1, 3]).generate_state(1)[0]),
    )
    return list(drift_stream(config, corpus))
