"""What must come out: inputs and the reference's results."""
