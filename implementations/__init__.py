"""The same multi-layer perceptron in several idioms, behind one interface."""

if __name__ != "samegrad.implementations":
    raise ImportError(
        f"{__name__} is a part of samegrad: write `samegrad.implementations` for it, "
        "or `import samegrad` for what is public"
    )
