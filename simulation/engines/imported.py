"""What a worker needs for every message, imported once: in the process that all workers are copies of."""

from bloodnet_model.garbage import leave_as_it_is, search_seldom

search_seldom()

import torch._dynamo  # noqa: E402, F401  # each worker's first optimiser would import it, for seconds

import client.app  # noqa: E402, F401

leave_as_it_is()
