"""MIDI: bytes, events, notes, and a performance back into the events.

`smf` reads and writes files without losing a byte, `notes` finds the notes and parts in their events, `edit` puts new
velocities and lengths back, and `interop` takes and returns every kind of MIDI object that users hand in.
"""
