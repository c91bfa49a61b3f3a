"""What a call asks for, and how patient a client is unless it is told otherwise."""

from airflow_provider_audiences.http.calls import Call, TransportSettings


def test_defaults() -> None:
    settings = TransportSettings()

    assert (settings.max_retries, settings.backoff_seconds, settings.jitter) == (3, 1.0, True)
    # AppLovin's server gives up after 100 s, and its verdict must arrive first.
    assert settings.read_timeout_seconds > 100
    assert settings.max_retry_after_seconds == 300


def test_the_target_has_everything_encoded_that_a_server_might_read_otherwise() -> None:
    def call(**query: str) -> Call[None]:
        return Call(operation="a.b", method="GET", path="/a%2Fb", read=lambda _reply: None, query=query)

    assert call().request_target == "/a%2Fb"
    assert call(name="a b+c", id="&=?/é").request_target == "/a%2Fb?name=a%20b%2Bc&id=%26%3D%3F%2F%C3%A9"
