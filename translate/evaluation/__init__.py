"""How good a model is: its outputs, run as ``translate`` runs them, before measures of plugins."""
