"""What strategies add to the gradients of every local step, beside those of the losses.

FedProx (Li et al., arXiv 1812.06127) and Ditto (Li et al., arXiv 2012.04221) hold the weights near others by
(mu/2)·|w - anchor|². SCAFFOLD (Karimireddy et al., arXiv 1910.06378) corrects the direction in which a site's own
patients pull by c - c_i, and wants to know the mean of the gradients that it corrected.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bloodnet_model.network import BloodNet
from bloodnet_model.weights import by_parameter, flat_from_parameters


@dataclass(frozen=True, eq=False)
class Steering:
    """What a round adds; flat vectors are laid out as `bloodnet_model.weights.flat_weights` has them.

    proximal_mu: strength of the hold; 0 for none
    anchor:      (parameters,) what is held to; None for the weights that training starts from
    correction:  (parameters,) added as it is; None for none
    """

    proximal_mu: float = 0.0
    anchor: NDArray[np.float32] | None = None
    correction: NDArray[np.float32] | None = None


UNSTEERED: Final = Steering()


class Steered:
    """A network's parameters under a `Steering`, step by step. Raises WeightsError where a vector does not fit."""

    def __init__(self, network: BloodNet, steering: Steering) -> None:
        self._network, self._mu = network, steering.proximal_mu
        self._parameters = list(network.parameters())
        self._anchors: list[Tensor] = []
        if self._mu and steering.anchor is None:
            self._anchors = [parameter.detach().clone() for parameter in self._parameters]
        elif self._mu and steering.anchor is not None:
            self._anchors = by_parameter(network, steering.anchor)
        corrected = steering.correction is not None
        self._correction = [] if steering.correction is None else by_parameter(network, steering.correction)
        self._sums = [torch.zeros_like(parameter) for parameter in self._parameters] if corrected else []

    def steer(self) -> None:
        """Add to the gradients of a step, which are there and not yet clipped."""
        if self._correction:
            correct_gradients(self._parameters, self._correction, self._sums)
        if self._anchors:
            add_proximal_gradient(self._parameters, self._anchors, self._mu)

    def mean_gradient(self, steps: int) -> NDArray[np.float32] | None:
        """(parameters,): what the gradients were before they were corrected, where they were; 0 for statistics."""
        if not self._sums:
            return None
        return flat_from_parameters(self._network, [total / steps for total in self._sums])


def add_proximal_gradient(parameters: Sequence[Tensor], anchors: Sequence[Tensor], mu: float) -> None:
    """Add mu·(w - anchor), the gradient of (mu/2)·|w - anchor|², to each parameter's gradient."""
    with torch.no_grad():
        for parameter, anchor in zip(parameters, anchors, strict=True):
            _add(parameter, mu * (parameter - anchor))


def correct_gradients(parameters: Sequence[Tensor], correction: Sequence[Tensor], sums: Sequence[Tensor]) -> None:
    """Add each gradient to its sum, and then the correction to the gradient.

    What overflowed in float16 counts as 0: its step is left out.
    """
    with torch.no_grad():
        for parameter, added, total in zip(parameters, correction, sums, strict=True):
            if parameter.grad is not None:
                total.add_(torch.nan_to_num(parameter.grad, nan=0.0, posinf=0.0, neginf=0.0))
            _add(parameter, added)


def _add(parameter: Tensor, added: Tensor) -> None:
    parameter.grad = added.clone() if parameter.grad is None else parameter.grad.add_(added)
