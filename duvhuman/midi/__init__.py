"""MIDI: bytes, events, notes, and a performance back into the events.

`smf` reads and writes files without losing a byte, and `damage` tells what is missing from one. `notes` finds the notes
and parts in their events, by what `programs`, `drums` and `hands` tell of who plays them. `edit` puts new velocities
and lengths back. `interop` takes and returns every kind of MIDI object that users hand in, of which `objects` knows
those of other libraries.
"""
