"""The chapters of the page, one module each: what upstream published in, a section out.

A chapter whose material is missing says so in words; it never fails for that and never invents.
"""
