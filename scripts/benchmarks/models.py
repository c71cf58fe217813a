"""The language models that are measured: those that ship, and a larger one with random weights."""

from pathlib import Path

from olrl.control.decision import Base
from olrl.models.byte_level import ByteModelShape, build_model, build_tokenizer
from olrl.models.load import LoadedModel, load_model
from olrl.streams.tokens import HuggingFaceTokenizer

LARGE = "1.3M"
LARGE_SHAPE = ByteModelShape(width=160, layers=4, heads=4, mlp=480)
SIZES = ("pico", "nano", LARGE)
WIDTHS = {"pico": 32, "nano": 64, LARGE: LARGE_SHAPE.width}


def where(name: str, scratch: Path) -> str:
    """By what a model is loaded: its name, or the folder that the large one is written to first."""
    if name != LARGE:
        return name
    folder = scratch / LARGE
    if not folder.exists():
        base = Base(lr=2.5e-4, batch_size=2, window=1)
        tokenizer = build_tokenizer()
        unfinished = folder.with_suffix(".unfinished")
        LoadedModel(
            name=LARGE,
            model=build_model(LARGE_SHAPE, seed=0),
            hf_tokenizer=tokenizer,
            tokenizer=HuggingFaceTokenizer(tokenizer, separator=0),
            base=base,
            fixed=base,
        ).save(unfinished)
        unfinished.rename(folder)
    return str(folder)


def load(name: str, scratch: Path) -> LoadedModel:
    """A fresh copy of a model."""
    return load_model(where(name, scratch))


def parameters(model: LoadedModel) -> int:
    """Number of weights, the embedding that also makes the logits counted once."""
    return sum(weights.numel() for weights in model.model.parameters())
