"""What a rollback needs of whoever holds the weights; the guard itself has none."""

from typing import Protocol


class LastGood(Protocol):
    """The last good states of the learner, kept by the deployment."""

    def loss_nats(self) -> float | None:
        """The least of their losses on the chunk of this round, nats a token; None if there is none."""

    def restore(self) -> None:
        """Put back the state whose loss that was."""


def weights_at_fault(loss: float | None, last_good: LastGood | None, *, ratio: float) -> bool:
    """Whether the last good weights do far better on the very chunk whose loss is in question.

    That tells broken weights from text that has changed, or is broken itself: on such text they would do no better.
    `loss` is None where it was not finite. Costs a pass over the chunk.
    """
    if last_good is None:
        return False
    before = last_good.loss_nats()
    return before is not None and (loss is None or loss > ratio * before)
