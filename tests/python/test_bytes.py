"""What the official clients cannot say: malformed bodies, and every byte back."""

import random

import httpx
import pytest

from servers import script


@pytest.fixture
def client(proxy):
    with httpx.Client(base_url=proxy.url, timeout=20, trust_env=False) as client:
        yield client


MALFORMED = {
    "cut": b'{"model":',
    "empty": b"",
    "no_json": b"model=mock&stream=true",
    "an_array": b"[1, 2]",
    "no_text": b'{"model":"\xff\xfe"}',
    "model_twice": b'{"model":"a","model":"b","messages":[]}',
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_body_is_refused_in_words(client, body):
    answer = client.post(
        "/v1/chat/completions", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"


def test_a_refusal_speaks_anthropic_to_anthropic(client):
    answer = client.post(
        "/v1/messages", content=b'{"model":', headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.json()["type"] == "error"
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_body_of_five_megabytes_arrives_byte_for_byte(client, chunked):
    noise = random.Random(2).randbytes(2_500_000).hex().encode()
    body = b'{"model":"mock",  "messages": [{"role":"user","content":"' + noise + b'"}]}\n'
    pieces = (body[at : at + 65_536] for at in range(0, len(body), 65_536))
    answer = client.post(
        "/v1/chat/completions",
        content=pieces if chunked else body,
        headers={"content-type": "application/json"} | script(echo=1),
    )
    assert answer.status_code == 200
    assert answer.content == body


def test_an_unknown_path_passes_to_the_backend(client, mock):
    through = client.get("/v1/nothing")
    straight = httpx.get(f"{mock.url}/v1/nothing", trust_env=False)
    assert (through.status_code, straight.status_code) == (404, 404)
    assert through.content == straight.content
