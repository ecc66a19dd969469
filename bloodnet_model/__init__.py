"""What all parties must agree on: the network, its losses, preprocessing, training and metrics. Plain PyTorch."""
