"""From MIDI files to notes in shards: what `duvhuman.train.prepare` and `duvhuman.train.dataset` rest on."""
