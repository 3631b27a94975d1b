"""What every implementation offers: the spec, the equations, validation and the registry."""
