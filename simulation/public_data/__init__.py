"""Public head CT data sets, one file each; users fetch the data themselves."""
