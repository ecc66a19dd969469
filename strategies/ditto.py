"""Ditto: FedAvg, and at each site a model of its own that is held near the shared one by (lambda/2)·|v - w|².

Li et al., Ditto: Fair and Robust Federated Learning Through Personalization, https://arxiv.org/abs/2012.04221. Both are
trained at the site in each round, with as many steps (`client.local_training`); its own model never leaves it.
"""

from typing import ClassVar

from flwr.app import RecordDict
from pydantic import Field

from strategies import records
from strategies.fedavg import FedAvg
from strategies.records import Personal


class Ditto(FedAvg):
    personal_lambda: float = Field(0.1, ge=0, description="strength of the hold; 0 trains each site by itself")

    personal: ClassVar[Personal] = "model"

    def instruct(self, content: RecordDict) -> None:
        records.set_personal_lambda(content, self.personal_lambda)
