"""Notifications: what a person is told, and over which channel."""
