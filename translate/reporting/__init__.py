"""``translate report``: what is in a run's folder, as one page. Nothing here needs torch."""
