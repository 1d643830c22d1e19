"""Sharing: what is new reaches everybody, whatever the ways and the order; what is false reaches nobody."""
