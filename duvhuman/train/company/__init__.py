"""Train the network that hears the other parts of a file (`duvhuman.models.company`)."""
