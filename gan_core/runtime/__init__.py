"""How a step runs on a machine: devices, precision, compilation, processes, random numbers."""
