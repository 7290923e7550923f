"""What the hub sells: credit, at a price, within bounds."""

from dataclasses import dataclass

from aigne_hub.domain.currencies import MINOR_MAX, exponent, format_minor, minor_price
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.money import NANO_PER_CREDIT, format_credits


@dataclass(frozen=True, slots=True)
class Offer:
    """`credit_price` is what one credit costs, in 10^-9 of `currency`; bounds in nano-credits.

    `instructions` tell people how to pay without a card, such as a bank account.
    """

    credit_price: int
    currency: str
    least: int
    most: int
    instructions: str = ""

    def price(self, credits_: int) -> int:
        """Return what nano-credits cost, in minor units. Raises InvalidRequest.

        Nothing is rounded: what does not come to a whole number of cents is refused.
        """
        if not self.least <= credits_ <= self.most:
            raise InvalidRequest(
                f"Between {format_credits(self.least)} and {format_credits(self.most)} credits "
                f"can be bought at a time.",
                param="credits",
            )
        try:
            amount = minor_price(credits_, self.credit_price, self.currency)
        except ValueError as error:
            raise InvalidRequest(
                f"The price of {format_credits(credits_)} credits {error}: choose an amount that "
                f"can be paid exactly.",
                param="credits",
            ) from None
        if not 0 < amount <= MINOR_MAX:
            raise InvalidRequest(
                f"At most {format_minor(MINOR_MAX, self.currency)} can be paid at once.",
                param="credits",
            )
        return amount

    @property
    def shown_price(self) -> str:
        """What one credit costs, for people: such as `0.50 USD` or `0.0125 USD`."""
        whole, _, fraction = format_credits(self.credit_price).partition(".")
        fraction = fraction.ljust(exponent(self.currency), "0")
        return f"{whole}{'.' if fraction else ''}{fraction} {self.currency.upper()}"

    @property
    def default(self) -> int:
        """What a form suggests: ten credits, where they can be had."""
        return min(max(10 * NANO_PER_CREDIT, self.least), self.most)
