"""One command per figure: ours, its peers and its ceiling from the same run. `python -m benchmarks --help`."""
