"""Accounts: who is calling. Users, tokens, roles and shop memberships."""
