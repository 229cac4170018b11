"""What a player did, and what a user would have written of it: the pairs that networks are trained on."""
