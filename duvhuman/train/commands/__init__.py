"""The commands of ``python -m duvhuman.train``: one module each, with a function ``run(arguments)``."""
