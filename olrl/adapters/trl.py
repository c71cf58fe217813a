"""A controller in TRL's SFTTrainer (`pip install 'olrl[trl]'`)."""

from trl.trainer.sft_trainer import SFTTrainer

from olrl.adapters.transformers import SteeredTrainerMixin


class SteeredSFTTrainer(SteeredTrainerMixin, SFTTrainer):
    """SFTTrainer under a controller; what an epoch and a batch are then: see `SteeredTrainerMixin`.

    ```python
    trainer = SteeredSFTTrainer(
        model, SFTConfig(output_dir="out", max_length=256), train_dataset=dataset, processing_class=tokenizer,
        controller=olrl.load_policy("default").controller(base=olrl.Base(lr=3e-4, batch_size=16, window=8)),
    )
    trainer.train()
    ```
    An example is a row of the prepared data set: with `packing` a packed one. Tokens outside of the completion,
    where these are not trained on, are not scored either. With `padding_free` every example is scored by itself.
    """
