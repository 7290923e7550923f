"""Forms: read strictly, sent on byte for byte but for one field, and bounded in memory."""

import re
import tracemalloc
from email import message_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.gateway.dialects.form import PARTS_MAX, Form, read_form
from aigne_hub.gateway.dialects.openai.image_edits import OpenAIImageEdits
from aigne_hub.gateway.dialects.openai.transcriptions import OpenAITranscriptions

TYPE = (b"multipart/form-data; boundary=xYz",)
MODEL = b'--xYz\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n'
FILE = b'--xYz\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nsound\r\n'
END = b"--xYz--\r\n"
WHOLE = MODEL + FILE + END


def part(*lines: bytes, content: bytes = b"m") -> bytes:
    return b"\r\n".join((b"--xYz", *lines, b"", content, b""))


def named(name: bytes, *more: bytes, content: bytes = b"m") -> bytes:
    line = b'Content-Disposition: form-data; name="%b"' % name
    return part(line, *more, content=content)


def test_a_form_is_read_and_only_the_field_is_changed():
    form = read_form(WHOLE, TYPE)
    assert (form.field("model"), form.file("file"), form.field("n")) == ("m", b"sound", None)
    assert form.with_field("model", "other") == WHOLE.replace(
        b"\r\n\r\nm\r\n", b"\r\n\r\nother\r\n"
    )
    added = read_form(form.with_field("n", "3"), TYPE)
    assert (added.field("n"), added.field("model"), added.file("file")) == ("3", "m", b"sound")


def test_the_length_that_a_field_says_of_itself_is_changed_with_it():
    body = named(b"model", b"Content-Length: 1", content=b"m") + END
    changed = read_form(body, TYPE).with_field("model", "a longer name")
    assert b"Content-Length: 13\r\n\r\na longer name\r\n" in changed


def test_what_a_form_says_does_not_depend_on_its_boundary():
    other = read_form(WHOLE.replace(b"xYz", b"another"), (TYPE[0].replace(b"xYz", b"another"),))
    assert other.digest() == read_form(WHOLE, TYPE).digest()
    for old, new in ((b"sound", b"tone"), (b'"model"', b'"mode"'), (b"a.wav", b"b.wav")):
        assert read_form(WHOLE.replace(old, new), TYPE).digest() != other.digest()


@pytest.mark.parametrize(
    "content_types",
    [
        (),
        (b"application/json",),
        (b"multipart/form-data",),
        (b"multipart/form-data; boundary=",),
        (b'multipart/form-data; boundary=""',),
        (b"multipart/form-data; boundary=a; boundary=xYz",),
        (b'multipart/form-data; boundary="x\\Yz"',),
        (b"multipart/form-data; boundary=" + b"x" * 71,),
        (b"multipart/form-databoundary=xYz",),
        (b"multipart/form-data, boundary=xYz",),
        (b"multipart/mixed; boundary=xYz",),
        (TYPE[0], TYPE[0]),
        (TYPE[0], b"application/json"),
    ],
)
def test_a_type_that_names_no_one_boundary_is_refused(content_types):
    with pytest.raises(InvalidRequest):
        read_form(WHOLE, content_types)


@pytest.mark.parametrize(
    "content_type",
    [
        b"multipart/form-data; boundary=xYz",
        b'Multipart/Form-Data;charset=utf-8 ; boundary="xYz"',
        b"multipart/form-data; boundary=xYz;",
    ],
)
def test_a_type_may_be_written_in_several_ways(content_type):
    assert len(read_form(WHOLE, (content_type,)).parts) == 2


HOSTILE = {
    "nothing": b"",
    "no boundary": b"model=m",
    "another boundary": WHOLE.replace(b"xYz", b"other"),
    "lines that end with LF": WHOLE.replace(b"\r\n", b"\n"),
    "a preamble": b"hello\r\n" + WHOLE,
    "an empty line before": b"\r\n" + WHOLE,
    "an epilogue": WHOLE + b"more",
    "another form behind": WHOLE + WHOLE,
    "no end": MODEL + FILE,
    "half an end": MODEL + FILE + b"--xYz-",
    "broken off in a header": MODEL + b"--xYz\r\nContent-Disposition: form-da",
    "broken off in a file": MODEL + FILE[:-3],
    "blanks behind a boundary": WHOLE.replace(b"--xYz\r\n", b"--xYz \r\n", 1),
    "a longer boundary": named(b"model") + b"--xYzz\r\n\r\n\r\n" + END,
    "a boundary behind LF": named(b"a", content=b"a\n--xYz\r\nb") + END,
    "a boundary behind CR": named(b"a", content=b"a\r--xYz\r\nb") + END,
    "an end behind LF": named(b"a", content=b"a\n--xYz--\r\nb") + END,
    "a part without a header": b"--xYz\r\n\r\n\r\n" + END,
    "a part that ends with its header": MODEL + FILE.replace(b"\r\n\r\nsound", b"\r\n") + END,
    "a huge header": part(b"X: " + b"x" * 9_000) + END,
    "a header without a name": part(b": x", b'Content-Disposition: form-data; name="model"') + END,
    "a header without a colon": part(b"hello") + END,
    "a folded header": part(b"Content-Disposition: form-data;", b' name="model"') + END,
    "LF in a header": part(b'Content-Disposition: form-data; name="a"\nX: y') + END,
    "NUL in a header": part(b'Content-Disposition: form-data; name="a\x00"') + END,
    "a header twice": named(b"a", b'Content-Disposition: form-data; name="model"') + END,
    "no disposition": part(b"Content-Type: text/plain") + END,
    "another disposition": part(b'Content-Disposition: attachment; name="model"') + END,
    "no name": part(b'Content-Disposition: form-data; filename="a"') + END,
    "a name twice": part(b'Content-Disposition: form-data; name="a"; name="model"') + END,
    "a name in two forms": part(b"Content-Disposition: form-data; name=\"a\"; name*=utf-8''model")
    + END,
    "an escaped name": part(b'Content-Disposition: form-data; name="mo\\del"') + END,
    "an open quote": part(b'Content-Disposition: form-data; name="model') + END,
    "a name that is not UTF-8": named(b"\xff") + END,
    "an encoded part": named(b"model", b"Content-Transfer-Encoding: base64") + END,
    "another character set": named(b"model", b"Content-Type: text/plain; charset=utf-16") + END,
    "a hundred thousand parts": named(b"a") * 100_000 + END,
    "a hundred thousand empty parts": b"--xYz\r\n\r\n\r\n" * 100_000 + END,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_form_with_a_second_reading_is_refused(name: str):
    with pytest.raises(InvalidRequest, match="not a readable form"):
        read_form(HOSTILE[name], TYPE)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (FILE + END, "model"),
        (MODEL + MODEL + FILE + END, "model"),
        (named(b"model", content=b"") + FILE + END, "model"),
        (named(b"model", content=b"\xff") + FILE + END, "model"),
        (named(b"model", content=b"m" * 300_000) + FILE + END, "model"),
        (FILE.replace(b"file", b"model", 1) + FILE + END, "model"),
        (MODEL + END, "file"),
        (MODEL + FILE + FILE + END, "file"),
        (MODEL + named(b"file") + END, "file"),
        (MODEL + FILE + named(b"stream", content=b"maybe") + END, "stream"),
        (MODEL + FILE + named(b"response_format") * 2 + END, "response_format"),
    ],
)
def test_a_transcription_that_makes_no_sense_is_refused(body: bytes, param: str):
    with pytest.raises(InvalidRequest) as raised:
        OpenAITranscriptions(TYPE).ask(body)
    assert raised.value.param == param


@pytest.mark.parametrize(
    ("more", "param"),
    [
        (named(b"n", content=b"0"), "n"),
        (named(b"n", content=b"11"), "n"),
        (named(b"n", content=b"1.5"), "n"),
        (named(b"n", content=b"1") * 2, "n"),
        (named(b"size", content=b"a") * 2, "size"),
        (named(b"quality", content=b"a") * 2, "quality"),
    ],
)
def test_an_edit_that_makes_no_sense_is_refused(more: bytes, param: str):
    picture = FILE.replace(b'"file"', b'"image[]"')
    prompt = named(b"prompt", content=b"a tree")
    edits = OpenAIImageEdits(TYPE)
    assert edits.ask(MODEL + prompt + picture + END).images == 1
    with pytest.raises(InvalidRequest) as raised:
        edits.ask(MODEL + prompt + picture + more + END)
    assert raised.value.param == param


def test_reading_a_form_copies_nothing_of_it():
    body = MODEL + FILE.replace(b"sound", b"s" * 8_000_000) + named(b"a") * (PARTS_MAX - 2) + END
    tracemalloc.start()
    try:
        form = read_form(body, TYPE)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(form.parts) == PARTS_MAX
    assert peak < 1_000_000


def ours(form: Form) -> list[tuple[str, str | None, bytes]]:
    return [(p.name, p.file, form.body[p.start : p.end]) for p in form.parts]


def theirs(body: bytes) -> list[tuple[str, str | None, bytes]]:
    """Read a form with the standard library, which has another way of finding its parts."""
    message = message_from_bytes(b"content-type: " + TYPE[0] + b"\r\n\r\n" + body)
    return [
        (
            p.get_param("name", header="content-disposition"),
            p.get_filename(),
            p.get_payload(decode=True),
        )
        for p in message.get_payload()
    ]


NAMES = st.text("abcdefghijklmnopqrstuvwxyz_[]", min_size=1, max_size=12)
# The library takes CR and LF alone for ends of lines, and drops some; what it reads is text.
CONTENT = st.binary(max_size=200).map(lambda data: re.sub(rb"[\r\n\x80-\xff]", b"-", data))
PARTS = st.lists(st.tuples(NAMES, st.booleans(), CONTENT), max_size=8)


def written(parts: list[tuple[str, bool, bytes]]) -> bytes:
    found = b""
    for name, is_file, content in parts:
        about = b'; filename="a.bin"' if is_file else b""
        line = b'Content-Disposition: form-data; name="%b"%b' % (name.encode(), about)
        found += part(line, content=content)
    return found + END


@given(PARTS)
def test_others_read_the_same_parts(parts):
    body = written([("model", False, b"m"), *parts])
    assert ours(read_form(body, TYPE)) == theirs(body)


@given(PARTS, st.text("abc/:.-0123456789", min_size=1, max_size=40))
def test_every_byte_but_the_models_name_is_sent_on(parts, model):
    others = [each for each in parts if each[0] != "model"]
    body = written([*others[:2], ("model", False, b"m"), *others[2:]])
    changed = read_form(body, TYPE).with_field("model", model)
    assert changed == written([*others[:2], ("model", False, model.encode()), *others[2:]])


@given(st.integers(0, len(WHOLE)), st.binary(max_size=12), st.integers(0, 12))
def test_whatever_is_done_to_a_form_it_is_read_or_refused(at, put, dropped):
    body = WHOLE[:at] + put + WHOLE[at + dropped :]
    try:
        model = (form := read_form(body, TYPE)).field("model")
    except InvalidRequest:
        return
    if model is not None:
        assert form.with_field("model", model) == body
