"""Classifiers made of language models: a head on a frozen encoder, or a whole model for sequence classification."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from olrl.control.decision import Base
from olrl.models.load import LoadedModel, load_model, model_folder, quiet_loading
from olrl.streams.corpus import load_corpus
from olrl.streams.labelled import PAD, LabelledChunk
from olrl.streams.text_features import BUCKETS, WIDTH, TextHasher, pack
from olrl.streams.tokens import Tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

SEQ_LEN = 128  # tokens of a document that are looked at, if nothing else is asked for
HEAD_FILE = "head.json"
HEADS = ("score", "classifier")  # what architectures call the layer that tells classes apart
# What control of a head starts from: AdamW's customary rate, not tuned. All weights start from the model's own
# base.
FROZEN_BASE = Base(lr=1e-3, batch_size=4, window=8)
_MEASURED = 96  # documents of builtin text, by which features are scaled
_AT_ONCE = 32


@dataclass(frozen=True, kw_only=True)
class LoadedClassifier:
    """A classifier ready to learn online: its trainable `module`, and the tokenizer that goes with it.

    With an `encoder` only the head learns, on features of `n_features` numbers.
    """

    name: str
    classes: tuple[str, ...]
    module: "torch.nn.Module"
    tokenizer: Tokenizer
    hf_tokenizer: Any
    base: Base | None
    encoder: "FrozenEncoder | None" = None
    longest: int | None = None
    fixed: Base | None = None
    seq_len: int = SEQ_LEN

    @property
    def model(self) -> "torch.nn.Module":
        """What learns."""
        return self.module

    def save(self, folder: Path) -> None:
        """Write the model in Hugging Face format, or the head as safetensors with what it was made for."""
        if self.encoder is None:
            self.module.save_pretrained(folder)  # type: ignore[operator] # torch's modules know any attribute
            self.hf_tokenizer.save_pretrained(folder)
            return
        from safetensors.torch import save_file

        folder.mkdir(parents=True)
        save_file({name: weights.contiguous() for name, weights in self.module.state_dict().items()},
                  folder / "head.safetensors")  # fmt: skip
        about: dict[str, Any] = {
            "format": 1,
            "encoder": self.name,
            "classes": self.classes,
            "seq_len": self.seq_len,
        }
        if self.encoder.text is not None:
            about["text_features"] = self.encoder.text.about
        scale = {"mean": self.encoder.mean.tolist(), "std": self.encoder.std.tolist()}
        (folder / HEAD_FILE).write_text(json.dumps({**about, **scale}, indent=1) + "\n", encoding="utf-8")


def load_classifier(
    name: str, *, classes: Sequence[str], frozen: bool, device: str = "cpu", text_features: int = 0
) -> LoadedClassifier:
    """A classifier over `classes` from a language model by the name of a shipped one, a folder, or a hub id.

    `frozen`: the model stays as it is, and a linear head learns on features of it (`FrozenEncoder`). Else all
    weights learn, as transformers' model for sequence classification of that architecture. The head begins at
    zero, so that all classes are equally probable at first. With `text_features` a frozen model's head may see as
    many things beside, that stand in the text (`TextHead`). Raises ValueError in one sentence for fewer than
    two classes, for what `load_model` refuses, and for an architecture that transformers cannot make a
    classifier of.
    """
    if len(classes) < 2 or len(set(classes)) < len(classes):
        raise ValueError(f"a classifier takes at least two different classes, not {list(classes)!r}")
    import torch

    loaded = load_model(name, device=device)
    shared: dict[str, Any] = {
        "name": name,
        "classes": tuple(classes),
        "tokenizer": loaded.tokenizer,
        "hf_tokenizer": loaded.hf_tokenizer,
        "longest": loaded.longest,
    }
    if not frozen:
        module = _sequence_model(loaded, classes, device)
        return LoadedClassifier(module=module, base=loaded.base, **shared)
    encoder = FrozenEncoder(loaded, text=TextReader(loaded.hf_tokenizer) if text_features else None)
    with torch.random.fork_rng(devices=[]):
        head = _head(encoder.n_features, len(classes), most=text_features, device=device)
    for weights in head.parameters():
        torch.nn.init.zeros_(weights)
    return LoadedClassifier(module=head, base=FROZEN_BASE, encoder=encoder, **shared)


def _head(n_features: int, n_classes: int, *, most: int, device: str) -> "torch.nn.Linear":
    import torch

    from olrl.models.text_head import TextHead

    if most:
        return TextHead(n_features, n_classes, most=most, device=device)
    return torch.nn.Linear(n_features, n_classes, device=device)


def _sequence_model(loaded: LoadedModel, classes: Sequence[str], device: str) -> "PreTrainedModel":
    import torch
    from transformers import AutoModelForSequenceClassification

    place, config = model_folder(loaded.name), loaded.model.config
    settings = {
        "num_labels": len(classes),
        "id2label": dict(enumerate(classes)),
        "label2id": {name: k for k, name in enumerate(classes)},
        "pad_token_id": loaded.tokenizer.separator,
    }
    if type(config) not in AutoModelForSequenceClassification._model_mapping:
        raise ValueError(
            f"transformers has no classifier of the architecture of {loaded.name!r}: train a head on it, frozen"
        )
    with torch.random.fork_rng(devices=[]), quiet_loading():
        model: Any
        model, found = AutoModelForSequenceClassification.from_pretrained(
            place,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
            **settings,
        )
    if missing := sorted(key for key in found["missing_keys"] if key.split(".")[0] not in HEADS):
        raise ValueError(f"{loaded.name!r} has no weights for {missing[0]}: train a head on it, frozen")
    for part in HEADS:
        if (head := getattr(model, part, None)) is not None:
            for weights in head.parameters():
                torch.nn.init.zeros_(weights)
    return model.to(device)  # type: ignore[no-any-return]


class TextReader:
    """What stands in texts that are given as tokens, as packed sets of buckets (`TextHasher`)."""

    about: ClassVar[dict[str, Any]] = {"buckets": BUCKETS, "hash": "crc32", "format": 1}

    def __init__(self, hf_tokenizer: Any) -> None:
        self._tokenizer, self._hasher = hf_tokenizer, TextHasher()

    def packed(self, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Of token rows (n, 1 + L), shape (n, 128)."""
        tokens = [row[1:][row[1:] != PAD].tolist() for row in rows]
        texts = [self._tokenizer.decode(ids, clean_up_tokenization_spaces=False) for ids in tokens]
        return pack(self._hasher.bits(texts))


class FrozenEncoder:
    """Features of texts from a causal language model that does not learn.

    Of the embeddings, of the middle layer and of the last, the mean of the hidden states over a text's tokens,
    one after the other; each number centred and scaled by its mean and standard deviation over builtin text,
    and clipped to ±4. A model whose architecture knows no layers gives its mean log probabilities of the next
    token instead. 2 to 100 ms a text for the models that ship, on one core. With `text`, what stands in a text is
    behind them.
    """

    def __init__(self, loaded: LoadedModel, *, text: TextReader | None = None) -> None:
        self.text = text
        model: torch.nn.Module = loaded.model
        self._model = model.eval()
        self._device = next(self._model.parameters()).device
        raw = np.concatenate([self._raw(rows) for rows in _builtin_rows(loaded.tokenizer)])
        self.mean = raw.mean(axis=0)
        self.std = np.maximum(raw.std(axis=0), 1e-6)

    @property
    def n_features(self) -> int:
        """Numbers a text that come from the model."""
        return len(self.mean)

    @property
    def width(self) -> int:
        """Numbers a text in all."""
        return self.n_features + (0 if self.text is None else WIDTH)

    def features(self, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Of token rows (n, 1 + L): class and features, shape (n, 1 + width)."""
        found = np.zeros((len(rows), 1 + self.width), dtype=np.float32)
        found[:, 0] = rows[:, 0]
        for k in range(0, len(rows), _AT_ONCE):
            part = rows[k : k + _AT_ONCE]
            scaled = np.clip((self._raw(part) - self.mean) / self.std, -4, 4)
            found[k : k + len(part), 1 : 1 + self.n_features] = scaled
        if self.text is not None:
            found[:, 1 + self.n_features :] = self.text.packed(rows)
        return found

    def over(self, chunks: Iterator[LabelledChunk]) -> Iterator[LabelledChunk]:
        """The same chunks with features in place of tokens; a document that arrives with its label is read once."""
        for chunk in chunks:
            arrived = self.features(chunk.arrivals)
            places = {number: k for k, number in enumerate(chunk.arrival_numbers.tolist())}
            late = [k for k, number in enumerate(chunk.numbers.tolist()) if number not in places]
            rows = np.empty((len(chunk.tokens), 1 + self.width), dtype=np.float32)
            rows[late] = self.features(chunk.tokens[late])
            for k, number in enumerate(chunk.numbers.tolist()):
                if number in places:
                    rows[k] = arrived[places[number]]
            rows[:, 0] = chunk.tokens[:, 0]
            yield replace(chunk, tokens=rows, arrivals=arrived, text=chunk.tokens)

    def _raw(self, rows: NDArray[np.int32]) -> NDArray[np.float64]:
        import torch

        tokens = torch.from_numpy(rows[:, 1:].astype(np.int64)).to(self._device)
        there = tokens != PAD
        width = max(int(there.sum(dim=1).max()) if len(rows) else 0, 1)
        tokens, there = tokens[:, :width].clamp(min=0), there[:, :width]
        with torch.inference_mode():
            given = self._model(input_ids=tokens, output_hidden_states=True, use_cache=False)
        layers = getattr(given, "hidden_states", None)
        states = [given.logits.log_softmax(dim=2)] if layers is None else _three(layers)
        weights = there[:, :, None].float() / there.sum(dim=1).clamp(min=1)[:, None, None]
        means = [(state.float() * weights).sum(dim=1) for state in states]
        found: NDArray[np.float64] = torch.cat(means, dim=1).double().cpu().numpy()
        return found


def _three(states: Sequence["torch.Tensor"]) -> list["torch.Tensor"]:
    """The first, the middle and the last; of two, both."""
    return [states[k] for k in sorted({0, len(states) // 2, len(states) - 1})]


def _builtin_rows(tokenizer: Tokenizer) -> Iterator[NDArray[np.int32]]:
    """Beginnings of builtin training documents as token rows, from all domains in turn."""
    corpus = load_corpus()
    domains = corpus.domains("train")
    texts = [
        corpus.documents(domains[k % len(domains)], "train")[k // len(domains)].text for k in range(_MEASURED)
    ]
    rows = np.full((_MEASURED, 1 + SEQ_LEN), PAD, dtype=np.int32)
    for row, text in zip(rows, texts, strict=True):
        ids = tokenizer.encode(text)[0][:SEQ_LEN]
        row[1 : 1 + len(ids)] = ids
    for k in range(0, _MEASURED, _AT_ONCE):
        yield rows[k : k + _AT_ONCE]
