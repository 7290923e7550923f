"""Lists as Payment Kit answers them: `{count, list, paging}`, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Query

SIZE_DEFAULT = 20
SIZE_MAX = 100
PAGE_MAX = 10_000

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    number: int
    size: int

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.size

    def answer(self, count: int, rows: Sequence[Any]) -> Answer:
        paging = {"page": self.number, "pageSize": self.size}
        return {"count": count, "list": list(rows), "paging": paging}


def page(
    number: Annotated[
        int, Query(alias="page", ge=1, le=PAGE_MAX, description="Which page, from 1.")
    ] = 1,
    size: Annotated[
        int, Query(alias="pageSize", ge=1, le=SIZE_MAX, description="Entries a page.")
    ] = SIZE_DEFAULT,
) -> Page:
    return Page(number, size)


Paging = Annotated[Page, Depends(page)]
CustomerName = Annotated[
    str | None, Query(max_length=255, description="Id or DID of a customer; by default all.")
]
Search = Annotated[str | None, Query(max_length=255, description="Part of a name or id.")]
Start = Annotated[int | None, Query(ge=0, description="From this Unix second on.")]
End = Annotated[int | None, Query(ge=0, description="Up to this Unix second.")]
