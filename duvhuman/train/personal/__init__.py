"""Adapters fitted to a player's own takes (``like=``)."""
