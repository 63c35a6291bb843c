"""What the other processes may ask of core, by name; one file a subject."""

from __future__ import annotations
