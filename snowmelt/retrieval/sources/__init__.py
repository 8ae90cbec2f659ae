"""Candidate sources, one file each: what they know, and what they propose to one request."""
