"""Payment Kit's REST API over the hub's own ledger: `/payment/api/*`.

Facts of the wire are those of the published types of @blocklet/payment-js 1.27.2 and
@blocklet/payment-types 1.27.2. What a request carries is in credits, as a decimal string;
what an answer carries is an integer string in the currency's smallest unit, nano-credits.
"""
