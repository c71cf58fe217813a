"""Loading a causal language model: one that ships, a folder, or a hub id."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from olrl.control.decision import Base
from olrl.models.lora import Lora, add_adapters, merged_weights
from olrl.streams.corpus import load_corpus
from olrl.streams.tokens import HuggingFaceTokenizer, Tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SHIPPED = ("nano", "pico", "femto", "mini", "bpe")
SETTINGS_FILE = "olrl.json"
_HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model ready to learn online.

    `base` and `fixed` ship with some models: the configuration control starts from, and the constant one that
    was tuned for it on training streams. `seq_len` is the number of predicted tokens a sequence. `lora` says what
    the model was given adapters of, if it was: they alone learn then.
    """

    name: str
    model: "PreTrainedModel"
    hf_tokenizer: "PreTrainedTokenizerBase"
    tokenizer: Tokenizer
    seq_len: int = 64
    base: Base | None = None
    fixed: Base | None = None
    lora: Lora | None = None

    @property
    def longest(self) -> int | None:
        """Positions that the model has, None where it does not say."""
        longest: int | None = getattr(self.model.config, "max_position_embeddings", None)
        return longest

    def bytes_per_round(self, *, chunk: int, seq_len: int | None = None) -> int:
        """Bytes of English prose in a chunk of so many sequences, to plan streams by that are told in rounds.

        One a token for a byte-level model; measured on builtin text for any other. Text of other kinds has fewer
        bytes a token, so that a stream planned by it is rather too long than too short.
        """
        texts = [document.text for document in load_corpus().documents("manual", "train")[:20]]
        n_bytes = np.concatenate([self.tokenizer.encode(text)[1] for text in texts])
        return round(chunk * (seq_len or self.seq_len) * float(n_bytes.mean()))

    def save(self, folder: Path) -> None:
        """Write model, tokenizer and settings in Hugging Face format; adapters are merged into the weights."""
        self.model.save_pretrained(folder, state_dict=merged_weights(self.model) if self.lora else None)
        self.hf_tokenizer.save_pretrained(folder)
        write_settings(folder, seq_len=self.seq_len, base=self.base, fixed=self.fixed)


def model_folder(name: str) -> str | Path:
    """Where a model is loaded from: the folder of one that ships, or the name itself."""
    return _HERE / name if name in SHIPPED else name


def load_model(
    name: str, *, device: str = "cpu", dtype: str = "float32", lora: Lora | str | None = None
) -> LoadedModel:
    """A causal LM by the name of a shipped one, a folder in Hugging Face format, or a hub id.

    No code from a folder or the hub is run, and only safetensors weights are read. With `lora`, adapters are added
    (`add_adapters`), which alone learn; as a text it is what `Lora.parse` reads. A base that ships was tuned for
    all of a model's weights, so that a model with adapters has none. Raises ValueError in one sentence if there is
    nothing to load, weights are damaged or missing, or the device cannot be used.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    import olrl.models.log_bilinear  # noqa: F401 # tells transformers of femto's architecture

    _check_device(device)
    place = model_folder(name)
    folder = Path(place)
    if folder.exists() or name in SHIPPED:
        _check_folder(name, folder)
    elif name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ValueError(f"there is no model folder {name!r}; ship names are {', '.join(SHIPPED)}")
    try:
        with quiet_loading():
            config = AutoConfig.from_pretrained(place, trust_remote_code=False)
            model: Any
            loading: dict[str, Any]
            model, loading = AutoModelForCausalLM.from_pretrained(  # type: ignore[misc] # a pair by output_loading_info
                place,
                config=config,
                dtype=getattr(torch, dtype),
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
            tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"cannot load a causal language model from {name!r} ({reason}); "
            f"give {' or '.join(SHIPPED)}, a folder in Hugging Face format, or a hub id"
        ) from error
    if loading["missing_keys"]:  # they would be drawn at random
        missing = sorted(loading["missing_keys"])
        raise ValueError(f"model {name!r} lacks {len(missing)} of its weights, {missing[0]} among them")
    separator = _separator(tokenizer, config)
    if separator is None:
        raise ValueError(f"model {name!r} has no end-of-text token, which separates documents")
    settings = _read_settings(folder)
    if isinstance(lora, str):
        lora = Lora.parse(lora)
    if lora is not None:
        add_adapters(model, lora)
        settings = {key: value for key, value in settings.items() if key == "seq_len"}
    return LoadedModel(
        name=name,
        model=model.to(device),
        hf_tokenizer=tokenizer,
        tokenizer=HuggingFaceTokenizer(tokenizer, separator=separator),
        lora=lora,
        **settings,
    )


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Without transformers' bar for loading weights, gone before it could be read, and its table of missing ones.

    Who loads says in a sentence what must not be missing.
    """
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call] # theirs is untyped
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call] # theirs is untyped


def _check_device(device: str) -> None:
    import torch

    try:
        torch.empty(1, device=device).tolist()  # on meta there are no numbers
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {device!r} cannot be used here ({reason}); cpu always can") from error


def _check_folder(name: str, folder: Path) -> None:
    if not folder.is_dir():
        raise ValueError(f"model {name!r} is not a folder; expected one in Hugging Face format")
    if not (folder / "config.json").is_file():
        raise ValueError(f"model folder {name!r} has no config.json; expected one in Hugging Face format")
    if not any(folder.glob("*.safetensors")):
        raise ValueError(f"model folder {name!r} has no weights; expected model.safetensors")


def _separator(tokenizer: Any, config: Any) -> int | None:
    for found in (tokenizer.eos_token_id, tokenizer.bos_token_id, config.eos_token_id, config.bos_token_id):
        if isinstance(found, list) and found:
            return int(found[0])
        if isinstance(found, int):
            return found
    return None


def _read_settings(folder: Path) -> dict[str, Any]:
    path = folder / SETTINGS_FILE
    if not path.is_file():
        return {}
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        seq_len = int(raw["seq_len"])
        if seq_len < 1:
            raise ValueError(f"seq_len must be at least 1, not {seq_len}")
        bases = {key: Base(**raw[key]) for key in ("base", "fixed") if raw.get(key) is not None}
        return {"seq_len": seq_len, **bases}
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path.name} of the model folder is not what olrl writes: {error}") from error


def write_settings(folder: Path, *, seq_len: int, base: Base | None, fixed: Base | None) -> None:
    """Write what olrl keeps beside a model: sequence length, base and tuned constant configuration."""
    settings = {
        "seq_len": seq_len,
        "base": None if base is None else asdict(base),
        "fixed": None if fixed is None else asdict(fixed),
    }
    (folder / SETTINGS_FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
