"""What vendors call their errors, as `words` writes names: small letters and digits, no `error`.

The vendors' own pages, looked up in November 2026:
https://developers.openai.com/api/docs/guides/error-codes and
https://help.openai.com/en/articles/6614457 (limits on spending);
https://platform.claude.com/docs/en/api/errors;
https://ai.google.dev/gemini-api/docs/troubleshooting and https://google.aip.dev/193;
https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html;
https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter;
https://openrouter.ai/docs/api/reference/errors-and-debugging;
https://console.groq.com/docs/errors and https://console.groq.com/docs/spend-limits;
https://www.volcengine.com/docs/82379/1299023 (Doubao);
https://docs.fireworks.ai/guides/inference-error-codes; https://docs.together.ai/docs/error-codes.
"""

from typing import Final

from aigne_hub.providers.complaints.causes import Cause

_SENSITIVE: Final = (
    f"{way}{kind}sensitivecontentdetected"
    for way in ("input", "output")
    for kind in ("text", "image", "video", "audio")
)

# These decide whatever the status is, the first one first.
DECISIVE: Final = {
    Cause.REGION: frozenset({
        "unsupportedcountryregionterritory", "unsupportedcountry", "unsupportedlocation",
        "regionnotsupported", "locationnotsupported",
    }),
    Cause.CREDIT: frozenset({
        "insufficientquota", "creditbalanceexhausted", "organizationspendlimitexceeded",
        "projectspendlimitexceeded", "organizationusagelimitexceeded",
        "billinghardlimitreached", "billingnotactive",
        "billing", "enforcedspendlimitreached",
        "billingdisabled", "ureqprojectbillingnotfound",
        "openrouterkeylimit", "openrouterguardrailbudget", "openrouterworkspacebudget",
        "accountoverdue", "serviceoverdue", "arrearage",
        "blockedapiaccess", "insufficientbalance", "insufficientcredits", "insufficientfunds",
        "paymentrequired", "creditsexhausted", "notenough",
    }),
    Cause.MODEL: frozenset({
        "modelnotfound", "invalidmodel", "modelnotavailable", "modelnotexist", "unknownmodel",
        "modeldecommissioned", "modeldeprecated", "deploymentnotfound", "modeltermsrequired",
        "modelpermissionblockedorg", "modelpermissionblockedproject",
        "modelnotopen", "servicenotopen", "invalidendpointormodel", "unsupportedmodel",
    }),
    Cause.CONTENT: frozenset({
        "contentfilter", "contentpolicyviolation", "contentpolicy", "policyviolation",
        "responsibleaipolicyviolation", "moderationblocked", "contentmoderation",
        "imagecontentpolicyviolation", "imagegenerationusererror", "datainspectionfailed",
        "sensitivecontentdetected", "inputtextriskdetection", "guardrailviolation",
        "promptblocked", "safetycheckfailed", "identifierblocked", *_SENSITIVE,
    }),
}  # fmt: skip
# Transient, though its status is 402: https://openrouter.ai/docs/api/reference/limits.
IN_FLIGHT: Final = frozenset({"openrouterinflightbudget", "inflightbudgetexhausted"})
# A 400 with one of these is not about the request.
OWN_KEY: Final = frozenset({
    "apikeyinvalid", "invalidapikey", "apikeyexpired", "authentication", "unauthenticated",
    "unauthorized", "unrecognizedclient", "expiredtoken", "invalidclienttokenid",
    "incompletesignature", "invalidsignature", "missingauthenticationtoken",
    "accountdeactivated", "consumersuspended", "organizationrestricted",
})  # fmt: skip
OWN_QUOTA: Final = frozenset({"servicequotaexceeded", "throttling", "toomanyrequests"})
# What a remote tool of the caller's says, told with a status of its own.
REMOTE_TOOL: Final = frozenset({"externalconnector", "httpmcp", "mcp"})
OVERLOADS: Final = frozenset({
    "overloaded", "serverisoverloaded", "slowdown", "serviceunavailable", "unavailable",
    "engineoverloaded", "serveroverloaded", "provideroverloaded", "capacityexceeded",
    "servicetiercapacityexceeded", "modelnotready",
})  # fmt: skip
# What an error in an answer is about that has no status, the first one first.
IN_BAND: Final = {
    Cause.CREDENTIAL: OWN_KEY | {"permission", "permissiondenied", "accessdenied", "forbidden"},
    Cause.THROTTLED: OWN_QUOTA | {
        "ratelimit", "ratelimited", "ratelimitexceeded", "resourceexhausted", "quotaexceeded",
    },
    Cause.OVERLOADED: OVERLOADS,
    Cause.TIMED_OUT: frozenset({
        "timeout", "requesttimeout", "modeltimeout", "deadlineexceeded", "vectorstoretimeout",
    }),
    Cause.CALLER: frozenset({
        "invalidrequest", "invalidargument", "invalidprompt", "validation", "badrequest",
        "contextlengthexceeded", "requesttoolarge", "notfound", "failedprecondition",
        "invalidimage", "invalidimageformat", "invalidbase64image", "invalidimageurl",
        "invalidimagemode", "imagetoolarge", "imagetoosmall", "imageparse",
        "imagefiletoolarge", "imagefilenotfound", "unsupportedimagemediatype",
        "emptyimagefile", "failedtodownloadimage",
    }),
}  # fmt: skip
