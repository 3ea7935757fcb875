from secagg import errors
from secagg.drivers.wire import transport
from secagg.drivers.wire.transport import ConnectionLost


def test_a_lost_connection_is_an_error_of_the_library_with_the_reason() -> None:
    error = ConnectionLost("rule 8-2: the rosters differ")
    assert isinstance(error, errors.SecaggError)
    assert error.reason == "rule 8-2: the rosters differ"


def test_a_cut_line_says_so() -> None:
    assert str(ConnectionLost()) == "the connection was cut"


def test_a_reason_travels_as_short_printable_text() -> None:
    assert transport.printable("a\nb\u00e9") == "a?b?"
    assert len(transport.printable("x" * 500)) == transport.MAX_REASON
