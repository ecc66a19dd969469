"""FedBN: FedAvg of everything but the norm layers, which each site keeps to itself: they hold its scanner's look.

Li et al., FedBN: Federated Learning on Non-IID Features via Local Batch Normalization,
https://arxiv.org/abs/2102.07623. Sites send what they received in the place of their norms (`client.local_training`),
so the mean does not move there. The paper is on BatchNorm, which `network.norm: batch` is; of a GroupNorm scale and
shift stay.
"""

from typing import ClassVar

from strategies.fedavg import FedAvg
from strategies.records import Personal


class FedBN(FedAvg):
    personal: ClassVar[Personal] = "norms"
