"""The ablation of the link: every arm trained alike, compared on the same patients, and a rule fixed beforehand."""
