"""Where the beats are, in performances that do not say."""
