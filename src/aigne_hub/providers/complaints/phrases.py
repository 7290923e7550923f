"""What vendors say where their codes do not tell, in small letters.

A 403 is about a key or about a request, and one code may stand for both: xAI sends
`permission-denied` with "Content violates usage guidelines"
(https://github.com/Wei-Shaw/sub2api/pull/5359). Together has it for a request that is too long
(https://docs.together.ai/docs/error-codes), Google for a file of the caller's that may not
exist or a bucket that it may not read, Anthropic's "Request not allowed" is about the country
(https://www.anthropic.com/supported-countries), and Bedrock's AccessDeniedException mostly about
one model. Google's quota by the minute, "You exceeded your current quota, please check your plan
and billing details", is no lack of credit. Looked up in November 2026.

An answer of 400, 404, 413 or 422, and an error without a status, may quote the caller. There the
words count only where the message begins, so that nobody can bar a credential by what he writes.
"""

import re
from typing import Final, NamedTuple

from aigne_hub.providers.complaints.causes import Cause


class Phrase(NamedTuple):
    cause: Cause
    words: re.Pattern[str]


def _phrase(cause: Cause, *words: str) -> Phrase:
    return Phrase(cause, re.compile("|".join(f"(?:{one})" for one in words)))


_REGION: Final = _phrase(
    Cause.REGION,
    r"not (?:available|supported|allowed|permitted) (?:in|from|for) "
    r"(?:your |this |the |unsupported )?(?:country|countries|region|location|territor)",
    r"unsupported (?:country|countries|region|location|territor)",
    r"(?:country|region|territory|location)(?: is|) not (?:supported|available|allowed)",
    r"geo(?:graphic(?:al)?)?[- ]restrict",
    r"region(?:al)? restriction",
    r"^request not allowed\.?$",
)
_CREDIT: Final = _phrase(
    Cause.CREDIT,
    r"credit balance is too low",
    r"insufficient (?:account )?(?:balance|credit|fund|quota)",
    r"(?:balance|credits?|funds) (?:is |are )?(?:insufficient|not enough|depleted|exhausted)",
    r"used all (?:of )?(?:the |your )?(?:available )?credits",
    r"(?:run )?out of credits",
    r"(?:doesn't|does not|don't|do not) have (?:any|enough) credits",
    r"(?:requires?|purchase) more credits|more credits are required",
    r"spend(?:ing)? (?:limit|cap)\b",
    r"(?:key|budget|billing) (?:hard )?limit (?:has been |was |is )?(?:exceeded|reached)",
    r"billing to be enabled|billing (?:is )?(?:disabled|not enabled|not active)",
    r"check your billing details on",
    r"payment.instrument|payment required|past invoices|overdue|in arrears|not_enough",
    r"specified (?:workspace )?api usage limits",
)
_BLOCKED: Final = _phrase(Cause.BLOCKED, r"temporar(?:il)?y (?:been )?block")
_ACCOUNT: Final = _phrase(
    Cause.CREDENTIAL,
    r"(?:account|organi[sz]ation|project|team|key|user|consumer|subscription)\b.{0,60}"
    r"\b(?:has been|have been|is|was|been) (?:permanently )?"
    r"(?:disabled|suspended|deactivated|banned|restricted|revoked|terminated|denied)",
    r"account\b.{0,20}\b(?:has been|was|is) flagged",
)
_MODEL: Final = _phrase(
    Cause.MODEL,
    r"(?:access to|access|use|using|invoke|sample from)(?: the| this| that)?"
    r"(?: specified| requested| publisher| tuned)? model",
    r"model access is denied",
    r"not authorized to perform: bedrock:(?:invoke|converse).{0,300}"
    r"(?:foundation-model|inference-profile)",
    r"model\b.{0,120}\b(?:is|are)(?: not|n't) (?:available|enabled|allowed|supported|accessible)",
    r"model\b.{0,120}\bis blocked",
)
_ABSENT: Final = _phrase(
    Cause.ABSENT,
    r"access the (?:file|cached ?content)\b.{0,200}or it may not exist",
    r"not found \(or permission denied\)|aiplatform\.cachedcontents",
    r"storage\.objects|cloud storage object|gs://|s3://|s3:getobject",
)
_CONTENT: Final = _phrase(
    Cause.CONTENT,
    r"content violates|usage (?:guidelines|polic)|safety[_ ](?:check|system|polic|filter)",
    r"failed check|content[_ ](?:management |moderation )?(?:policy|policies|filter)",
    r"flagged|moderation|prohibited content|sensitive (?:content|information)",
    r"blocked by (?:a |the |your )?guardrail",
    r"inappropriate content|responsible ai|harmful content",
)
_LENGTH: Final = _phrase(
    Cause.CALLER, r"max_(?:new_)?tokens|context (?:length|window)|input token count"
)
_LATER: Final = _phrase(Cause.BLOCKED, r"try again later")
_TOO_LARGE: Final = _phrase(Cause.TOO_LARGE, r"^request too large")

# Which are looked for anywhere in a message, by its status, the first one first.
HEARD: Final = {
    401: (_REGION, _CREDIT),
    403: (
        *(_REGION, _CREDIT, _BLOCKED, _ACCOUNT, _MODEL, _ABSENT),
        *(_CONTENT, _LENGTH, _LATER),
    ),
    412: (_CREDIT, _ACCOUNT),
    429: (_CREDIT, _TOO_LARGE),
    451: (_CONTENT,),
}
# How a message of any other status begins.
OPENINGS: Final = (
    _phrase(
        Cause.CREDIT,
        r"your credit balance is too low",
        r"you have reached your specified (?:workspace )?api usage limits",
        r"billing hard limit",
        r"insufficient (?:balance|credit|fund)",
        r"access denied, please make sure your account is in good standing",
        r"your prepayment credits are depleted",
    ),
    _phrase(
        Cause.REGION,
        r"user location is not supported",
        r"country, region, or territory not supported",
        r"access to anthropic models is not allowed from unsupported",
    ),
    _phrase(
        Cause.CREDENTIAL,
        r"(?:incorrect|invalid) (?:api[- ]key|x-api-key)",
        r"api key (?:not valid|expired|not found)",
        r"this organi[sz]ation has been (?:disabled|restricted)",
        r"your (?:account|organi[sz]ation) has been (?:disabled|suspended|deactivated)",
    ),
    _phrase(
        Cause.MODEL,
        r"(?:the |this |publisher |requested |provided )*(?:model|deployment|bot|endpoint)s?\b"
        r"(?! version)(?:.{0,200}?)\b(?:not found|not exist|isn't found|no longer|end of life"
        r"|decommissioned|deprecated|not a(?:vailable| valid)|not servable|identifier is invalid)",
        r"model: \S",
        r"models/\S+ is not (?:found|supported)",
        r"invalid model\b|unknown model\b|unable to access model",
        r"\S+ is not a valid model id",
        r"invocation of model id",
        r"this model version has reached",
        r"model use case details",
        r"project \S+ (?:is not allowed to use publisher|does not have access to) model",
        r"the (?:api )?deployment for this resource",
        r"no endpoints found for|no allowed providers are available",
        r"this is not a chat model|this model is only supported in",
    ),
)
# A 404 of nothing in particular: what is asked for is not at this address.
NOWHERE: Final = re.compile(
    r"(?:404 )?(?:page |resource |route )?not found\.?|invalid url.*|unknown request url.*"
    r"|no route.*|cannot post .*|the requested url .*"
)
