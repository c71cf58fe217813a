"""What happened in an episode so far, as a line of text or an image."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.loop import RoundRecord


class History:
    """Losses, decisions and alarms of one episode, kept for rendering.

    >>> history = History(base_lr=1e-3)
    >>> history.observed(2.5, 2.4, ())
    >>> history.line()
    'round 0  loss 2.500  reference 2.400'
    """

    def __init__(self, *, base_lr: float) -> None:
        self.base_lr = base_lr
        self._losses: list[tuple[float, float]] = []  # learner's, reference's: one more than decisions
        self._alarms: list[int] = []
        self._decisions: list[tuple[float, int, int, bool, float, float]] = []

    def observed(self, loss: float, reference: float, alarms: tuple[str, ...]) -> None:
        """Note the losses of a new chunk."""
        if alarms:
            self._alarms.append(len(self._losses))
        self._losses.append((loss, reference))

    def decided(self, record: RoundRecord, reward: float) -> None:
        """Note the decision that trained on the chunk before."""
        d = record.decision
        self._decisions.append((d.lr, d.batch_size, d.window, d.update, record.spent, reward))

    def line(self) -> str:
        """The chunk observed last, and the decision before it."""
        loss, reference = self._losses[-1]
        text = f"round {len(self._decisions)}  loss {loss:.3f}  reference {reference:.3f}"
        if not self._decisions:
            return text
        lr, batch_size, window, update, spent, reward = self._decisions[-1]
        trained = f"spent {spent:g}" if update else "skipped"
        octaves = math.log2(lr / self.base_lr)
        return (
            f"{text}  lr {lr:.2e} (base x 2^{octaves:+.1f})  batch {batch_size}  "
            f"window {window or 'all'}  {trained}  reward {reward:+.2f}"
        )

    def image(self) -> NDArray[np.uint8]:
        """Losses, learning rate, and batch size with window over the rounds, shape (480, 640, 3)."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.4, 4.8), dpi=100, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        top, middle, bottom = figure.subplots(3, 1, sharex=True)
        losses = np.asarray(self._losses, dtype=float).reshape(-1, 2)
        top.plot(losses[:, 1], color="tab:gray", label="reference")
        top.plot(losses[:, 0], color="tab:blue", label="learner")
        top.set_ylabel("loss, nats")
        top.legend(loc="upper right", fontsize="small")
        decisions = np.asarray([d[:3] for d in self._decisions], dtype=float).reshape(-1, 3)
        middle.step(range(len(decisions)), np.log2(decisions[:, 0] / self.base_lr), where="post")
        middle.set_ylabel("log2(lr / base)")
        bottom.step(range(len(decisions)), decisions[:, 1], where="post", label="batch size")
        bottom.step(range(len(decisions)), decisions[:, 2], where="post", label="window (0: all)")
        bottom.set_ylabel("sequences, chunks")
        bottom.set_xlabel("round")
        bottom.legend(loc="upper right", fontsize="small")
        for axes in (top, middle, bottom):
            for alarm in self._alarms:
                axes.axvline(alarm, color="tab:red", linewidth=0.5)
        canvas.draw()  # type: ignore[no-untyped-call] # matplotlib leaves both untyped
        rgba = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        return rgba[..., :3].copy()

    def state_dict(self) -> dict[str, Any]:
        """All that is drawn."""
        return {
            "losses": list(self._losses),
            "alarms": list(self._alarms),
            "decisions": list(self._decisions),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._losses = list(state["losses"])
        self._alarms = list(state["alarms"])
        self._decisions = list(state["decisions"])
