"""Whether outputs, losses, gradients and steps are right."""
