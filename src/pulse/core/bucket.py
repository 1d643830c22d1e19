"""How much of something there may be in a time: so much saved up, so much more each second.

Invariant: a bucket never holds more than its most, however long nothing is taken out.
"""


class Bucket:
    """A token bucket; `spend` may leave a debt, which is waited off."""

    def __init__(self, rate: float, most: float, now: float) -> None:
        self._rate, self._most = rate, most
        self._level, self._at = most, now

    def level(self, now: float) -> float:
        """What is in it."""
        self._level = min(self._most, self._level + (now - self._at) * self._rate)
        self._at = now
        return self._level

    def spend(self, amount: float, now: float) -> None:
        """Take `amount` out, whether or not it is there."""
        self._level = self.level(now) - amount

    def ready_at(self, amount: float, now: float) -> float:
        """When it will hold `amount`."""
        return now + max(0.0, amount - self.level(now)) / self._rate
