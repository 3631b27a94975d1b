"""What is timed, how, and what came out."""

if __name__ != "samegrad.benchmarks":
    raise ImportError(
        f"{__name__} is a part of samegrad: write `samegrad.benchmarks` for it, "
        "or `import samegrad` for what is public"
    )
