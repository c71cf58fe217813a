"""The search before a run that learned control replaces: Bayesian, random or genetic, in process or through Ray."""
