"""Training: from folders of MIDI to a base model and its LoRA adapter (``python -m duvhuman.train --help``).

The rooms, in the order in which data pass through them:

``data``        files to notes in shards; `prepare` writes them, `notate` adds bars, `dataset` reads them
``phrase_csv``  the same from tables of notes
``pairs``       what a player did, and what a user would have written of it
``run``         batches, losses, steps, validation; `loop` is a run, `stages` are a model's, `config` says how
``company``     the network that hears the other parts; `trees` and `calibrate`, too, come after a base
``personal``    adapters from a player's own takes; `adapters` are LoRA's
``evaluation``  how good it is, and the model card
``commands``    the command line; ``configs`` its recipes
"""
