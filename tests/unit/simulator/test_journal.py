"""The journal keeps the latest requests, within bounds, and no key."""

from eventroute_cli.simulator.journal import Entry, Given, Journal, without_keys


def entry(number: int, text: str = "text") -> Entry:
    return Entry(
        request_id=f"req_{number}", received_ns=number, headers={}, body_sha256="", text=text, given=Given(status=200)
    )


def test_the_oldest_entries_go_first_when_there_are_too_many() -> None:
    journal = Journal()
    for number in range(1005):
        journal.add(entry(number))
    ids = [kept.request_id for kept in journal.entries()]
    assert (len(ids), ids[0], ids[-1]) == (1000, "req_5", "req_1004")


def test_long_texts_are_cut_and_push_out_old_entries_sooner() -> None:
    journal = Journal()
    for number in range(30):
        journal.add(entry(number, "x" * 2_000_000))
    kept = journal.entries()
    assert len(kept) < 20
    assert kept[-1].text.endswith("… (cut)")
    assert sum(len(item.text) for item in kept) <= 20_000_000


def test_entries_are_found_by_their_text() -> None:
    journal = Journal()
    journal.add(entry(1, "delivery d-abc"))
    journal.add(entry(2, "delivery d-xyz"))
    assert [kept.request_id for kept in journal.entries("d-xyz")] == ["req_2"]


def test_keys_do_not_enter_the_journal() -> None:
    headers = without_keys([("Authorization", "Bearer secret"), ("X-Api-Key", "secret"), ("traceparent", "00-1-2-01")])
    assert headers == {"authorization": "…", "x-api-key": "…", "traceparent": "00-1-2-01"}


def test_clearing_forgets_everything() -> None:
    journal = Journal()
    journal.add(entry(1))
    journal.clear()
    assert journal.entries() == []
