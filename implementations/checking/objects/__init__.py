"""`samegrad.check`: the gradient of any object, found by effect and by value."""
