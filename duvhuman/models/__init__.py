"""The network and where it comes from: configuration, PhraseTransformer, adapters, the store of weights.

Knows nothing of MIDI. Importing this package loads nothing heavy; its modules import torch themselves.
"""
