"""A simulated log of a video platform, with hazards and a known ceiling."""
