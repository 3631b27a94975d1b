"""The document: chapters, sections, and their form as a page and as Markdown."""
