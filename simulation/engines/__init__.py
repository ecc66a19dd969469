"""Ways of running a federation on this machine: the same two apps, over three kinds of Flower grid."""
