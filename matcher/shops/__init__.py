"""Shops: the directory, onboarding, verification, import. PostGIS is the truth."""
