"""The network over several processes, each with a share of the work: ranks."""
