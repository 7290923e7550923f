from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Bounds on one exchange, in seconds.

    connect: until a connection is ready, waiting for a free one included.
    first_byte: from writing the request until the response head is complete.
    idle: longest silence inside the answer; suspended while the reader holds it back.
    total: from `Client.send` until the last byte of the answer.
    """

    connect: float = 10.0
    first_byte: float = 600.0
    idle: float = 300.0
    total: float = 3600.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise ValueError(f"timeout {field.name} must be more than 0 seconds")
