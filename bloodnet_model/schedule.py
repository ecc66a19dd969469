"""How many steps a round of training has. It needs no PyTorch, for the gate and a site's policy reckon with it too."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Where a round stands in the whole run, so that one warm-up and one cosine span all rounds.

    most_steps: of a round, where its epochs have more; 0 for whole epochs
    """

    round: int
    total_rounds: int
    epochs: int
    most_steps: int = 0

    def steps(self, per_epoch: int) -> int:
        """Of a round whose epochs have so many."""
        whole = self.epochs * per_epoch
        return min(whole, self.most_steps) if self.most_steps else whole


def steps_per_epoch(studies: int, studies_per_step: int) -> int:
    return -(-studies // studies_per_step)
