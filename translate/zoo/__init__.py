"""Models that are published elsewhere: what is known of them, and how they get here."""
