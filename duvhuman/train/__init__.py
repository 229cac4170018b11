"""Training: from folders of MIDI to a base model and its LoRA adapter (``python -m duvhuman.train --help``)."""
