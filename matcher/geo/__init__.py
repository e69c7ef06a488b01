"""Geometry on one sphere: distances, H3 cells, service areas and the index of nearest eligible sites.

Owns everything that needs a latitude and a longitude. Knows no domain (it speaks of sites and tags, never
of shops and makes), no SQL, no framework and no clock: values in, values out.
"""
