"""For the tests of the package itself, and of what stands in folders below."""

from __future__ import annotations

import hypothesis

# How long one example takes says how busy the machine is. A failure prints what repeats it.
hypothesis.settings.register_profile("oncegate", deadline=None, print_blob=True)
hypothesis.settings.load_profile("oncegate")
