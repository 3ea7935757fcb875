"""secagg.drivers.roster_book: what is pinned is durable and only grows."""

import pytest

from secagg import durable, errors
from secagg.drivers.roster_book import FILE_NAME, RosterBook
from secagg.roster_chain import RosterChain
from tests.unit.test_roster_chain import AGG, KEY, ONE, THREE, TWO, ZUG

FORK = ONE.followed_by([AGG, ZUG], KEY)


def kept(folder):
    return RosterChain.from_json((folder / FILE_NAME).read_text(), KEY.public)


def test_the_first_book_holds_what_the_site_was_given(tmp_path) -> None:
    book = RosterBook.open(tmp_path / "state", TWO)
    assert book.newest == TWO.newest
    assert kept(tmp_path / "state") == TWO


@pytest.mark.parametrize("given", [ONE, TWO])
def test_2_1_6_a_book_does_not_go_back_to_an_older_file(tmp_path, given) -> None:
    RosterBook.open(tmp_path, ONE).pin(THREE.versions)
    assert RosterBook.open(tmp_path, given).newest == THREE.newest


def test_a_version_is_judged_without_being_pinned(tmp_path) -> None:
    book = RosterBook.open(tmp_path, TWO)
    assert book.judged(THREE.versions) == THREE.newest
    assert book.judged(ONE.versions) == TWO.newest
    with pytest.raises(errors.RemoteProtocolError, match="forked"):
        book.judged(FORK.versions)
    assert book.newest == TWO.newest
    assert kept(tmp_path) == TWO


def test_a_newer_file_of_the_site_is_taken_up(tmp_path) -> None:
    RosterBook.open(tmp_path, ONE)
    assert RosterBook.open(tmp_path, THREE).newest == THREE.newest
    assert kept(tmp_path) == THREE


def test_2_1_5_a_fork_in_the_sites_file_is_refused(tmp_path) -> None:
    RosterBook.open(tmp_path, TWO)
    with pytest.raises(errors.RemoteProtocolError, match="forked") as caught:
        RosterBook.open(tmp_path, FORK)
    assert caught.value.rule == "2.1-5"


def test_2_1_6_a_version_is_on_the_disk_before_it_counts(tmp_path, monkeypatch) -> None:
    book = RosterBook.open(tmp_path, ONE)

    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable, "replace", full)
    with pytest.raises(errors.StateError, match=r"cannot be pinned.*No space"):
        book.pin(TWO.versions)
    assert book.newest == ONE.newest
    assert kept(tmp_path) == ONE


def test_what_does_not_verify_pins_nothing(tmp_path) -> None:
    book = RosterBook.open(tmp_path, ONE)
    with pytest.raises(errors.RemoteProtocolError):
        book.pin(THREE.versions[2:])
    assert book.newest == ONE.newest


def test_pinning_says_whether_anything_was_new() -> None:
    book = RosterBook(ONE)
    assert book.pin(TWO.versions)
    assert not book.pin(TWO.versions)
    assert not book.pin(ONE.versions)


def test_a_damaged_file_is_told_with_the_danger_of_an_old_copy(tmp_path) -> None:
    RosterBook.open(tmp_path, ONE)
    (tmp_path / FILE_NAME).write_text("{")
    with pytest.raises(errors.StateError, match="take back who was removed"):
        RosterBook.open(tmp_path, ONE)


def test_a_file_that_another_signed_is_not_used(tmp_path) -> None:
    RosterBook.open(tmp_path, ONE)
    path = tmp_path / FILE_NAME
    path.write_text(path.read_text().replace("The bern", "The bear"))
    with pytest.raises(errors.StateError, match=r"2\.1-2"):
        RosterBook.open(tmp_path, ONE)


def test_a_look_leaves_the_directory_as_it_is(tmp_path) -> None:
    folder = tmp_path / "state"
    assert RosterBook.open(folder, ONE, looks=True).pin(TWO.versions)
    assert not folder.exists()
    RosterBook.open(folder, TWO)
    book = RosterBook.open(folder, ONE, looks=True)
    assert book.newest == TWO.newest
    book.pin(THREE.versions)
    assert kept(folder) == TWO


def test_versions_are_found_in_a_book() -> None:
    book = RosterBook(THREE)
    assert book.version(2) == TWO.newest
    assert book.named(ONE.newest.hash) == ONE.newest
    assert book.after(2) == THREE.versions[2:]
    assert book.largest == 3
    assert [one.version for one in book.versions] == [1, 2, 3]


def test_a_roster_by_itself_never_changes() -> None:
    book = RosterBook(TWO.newest)
    assert not book.grows
    assert book.newest == TWO.newest
    assert book.versions == (TWO.newest,)
    assert book.named(TWO.newest.hash) == TWO.newest
    assert book.named(bytes(32)) is None
    assert book.version(1) is None
    assert book.after(0) == ()
    assert book.largest == 3
    with pytest.raises(errors.LocalProtocolError):
        book.pin(THREE.versions)
