from app.http import headers_of


def test_names_are_in_lower_case_and_the_first_of_two_counts() -> None:
    scope = {"type": "http", "headers": [(b"a", b"1"), (b"b", b"\xe9"), (b"a", b"2")]}
    assert headers_of(scope) == {"a": "1", "b": "\xe9"}


def test_they_are_read_once() -> None:
    scope = {"type": "http", "headers": [(b"a", b"1")]}
    assert headers_of(scope) is headers_of(scope)
