"""Which models behind a reference a path reaches, and where the others are served."""

from aigne_hub.catalog.snapshot import Model, Snapshot
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.gateway.dialects import Dialect
from aigne_hub.providers.languages.registry import translated_to
from aigne_hub.providers.profiles import (
    AIGNE_LANGUAGE,
    ANTHROPIC_LANGUAGE,
    CONVERSE_LANGUAGE,
    GEMINI_LANGUAGE,
    OPENAI_LANGUAGE,
    RESPONSES_LANGUAGE,
    languages_of,
)

LANGUAGE_NAMES = {
    OPENAI_LANGUAGE: "OpenAI",
    RESPONSES_LANGUAGE: "OpenAI Responses",
    ANTHROPIC_LANGUAGE: "Anthropic",
    GEMINI_LANGUAGE: "Gemini",
    AIGNE_LANGUAGE: "AIGNE",
    CONVERSE_LANGUAGE: "Bedrock Converse",
}
CHAT = "chat"
# Where models that answer chats are called in each language.
CHAT_PATHS = {
    OPENAI_LANGUAGE: "POST /v1/chat/completions",
    RESPONSES_LANGUAGE: "POST /v1/responses",
    ANTHROPIC_LANGUAGE: "POST /v1/messages",
    GEMINI_LANGUAGE: "POST /v1beta/models/{model}:generateContent",
}


def models_of(snapshot: Snapshot, reference: str, dialect: Dialect) -> tuple[Model, ...]:
    """Return the models behind a reference that a dialect reaches, best first.

    Those of its type whose providers speak its language, or one it is translated to.
    Raises NotFound or InvalidRequest.
    """
    models = snapshot.resolve(reference)
    if len(models) == 1:
        model = models[0]
        spoken = languages_of(model.provider.kind, model.name)
        if model.type == dialect.type and dialect.language in spoken:
            return models
    kind, language = dialect.type, dialect.language
    fitting = tuple(model for model in models if model.type == kind)
    if not fitting:
        raise InvalidRequest(
            f"{models[0].ref} is of type {models[0].type}; this path serves {kind} models.",
            param="model",
        )
    reached = tuple(model for model in fitting if is_reached(model, dialect))
    if not reached:
        raise InvalidRequest(_elsewhere(fitting[0], language), param="model")
    return reached


def is_reached(model: Model, dialect: Dialect) -> bool:
    """Tell whether a model of a dialect's type is called through it, translated or not."""
    spoken = languages_of(model.provider.kind, model.name)
    if dialect.language in spoken:
        return True
    return dialect.form is not None and translated_to(model.type, spoken) is not None


def _elsewhere(model: Model, language: str) -> str:
    """Say where a model is served that this path does not reach."""
    said = (
        f"The provider of {model.ref} does not speak the {LANGUAGE_NAMES[language]} format of "
        "this path."
    )
    spoken = sorted(languages_of(model.provider.kind, model.name)) if model.type == CHAT else []
    if not spoken:
        return f"{said} No path of this hub serves it yet."
    # What no caller speaks is reached from any format of theirs.
    paths = [CHAT_PATHS[one] for one in spoken if one in CHAT_PATHS] or list(CHAT_PATHS.values())
    return f"{said} Call the model at {' or '.join(paths)}."
