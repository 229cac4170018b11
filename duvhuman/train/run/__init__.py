"""One run of training: batches, optimisation, validation and what is left of it; `duvhuman.train.loop` rests on it."""
