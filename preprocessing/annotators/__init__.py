"""Interchangeable back ends behind the annotation stages; each knows one outside system."""
