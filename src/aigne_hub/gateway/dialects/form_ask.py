"""What a request that is a form asks, for the operations that take files."""

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.gateway.dialects import Ask
from aigne_hub.gateway.dialects.form import Form

_TRUE, _FALSE = frozenset({"true", "1"}), frozenset({"false", "0", ""})


class FormAsk(Ask):
    """An Ask whose body is a form, None for one that came as JSON."""

    form: Form | None = None

    @property
    def alike(self) -> bytes:
        """A repeated form has another boundary, and says the same."""
        return self.body if self.form is None else self.form.digest()


def named_model(form: Form) -> str:
    """Return the model a form names; raises InvalidRequest."""
    model = form.field("model")
    if not model:
        raise InvalidRequest("The form has no field `model`.", param="model")
    return model


def flag(form: Form, name: str) -> bool:
    """Return a field that says yes or no; raises InvalidRequest for one that says neither."""
    said = (form.field(name) or "").strip().lower()
    if said in _TRUE:
        return True
    if said in _FALSE:
        return False
    raise InvalidRequest(f"The field `{name}` is true or false.", param=name)


def whole(form: Form, name: str) -> int | None:
    """Return a field that is a whole number, None for one that is not there."""
    said = form.field(name)
    if said is None:
        return None
    if not (said.isascii() and said.isdigit() and len(said) <= 9):
        raise InvalidRequest(f"The field `{name}` is a whole number.", param=name)
    return int(said)
