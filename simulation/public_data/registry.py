"""All data sets that `--dataset` knows, by name."""

from typing import Final

from simulation.public_data import bhsd, cq500, ct_ich, instance2022, rsna2019
from simulation.public_data.data_set import DataSet

DATA_SETS: Final[dict[str, DataSet]] = {
    module.DATA_SET.name: module.DATA_SET for module in (rsna2019, cq500, ct_ich, bhsd, instance2022)
}
