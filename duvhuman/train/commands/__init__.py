"""The commands of ``python -m duvhuman.train``: one module each, with a function ``run(arguments)``."""

COMMANDS = ("prepare", "notate", "average", "trees", "company", "calibrate", "evaluate", "adapter", "export-to-hub")
"""All but `train`, which is meant where none is named."""
