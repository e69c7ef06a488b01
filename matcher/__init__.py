"""Clutch matcher: auto-parts orders matched to the nearest shops."""
