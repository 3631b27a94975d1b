"""From journals to tables, figures and a page. Reads results; measures and runs nothing."""

if __name__ != "samegrad.reports":
    raise ImportError(
        f"{__name__} is a part of samegrad: write `samegrad.reports` for it, "
        "or `import samegrad` for what is public"
    )
