"""The journal keeps the latest requests, within bounds, and no key."""

from eventroute_cli.simulator.journal import Entry, Given, Journal, key_id, without_keys


def entry(number: int, text: str = "text") -> Entry:
    return Entry(
        request_id=f"req_{number}",
        received_ns=number,
        headers={},
        body_sha256="",
        text=text,
        body={"messages": []},
        given=Given(status=200),
    )


def test_the_oldest_entries_go_first_when_there_are_too_many() -> None:
    journal = Journal(max_entries=1000)
    for number in range(1005):
        journal.add(entry(number), 10)
    ids = [kept.request_id for kept in journal.entries()]
    assert (len(ids), ids[0], ids[-1]) == (1000, "req_5", "req_1004")


def test_long_texts_are_cut_and_push_out_old_entries_sooner() -> None:
    journal = Journal()
    for number in range(30):
        journal.add(entry(number, "x" * 2_000_000), 2_000_100)
    kept = journal.entries()
    assert len(kept) == 20
    assert kept[-1].text.endswith("… (cut)")
    assert kept[-1].body == {}
    assert sum(len(item.text) for item in kept) <= 20_001_000


def test_a_usual_request_is_kept_as_it_came() -> None:
    journal = Journal()
    journal.add(entry(1, "x" * 10_000), 10_100)
    assert journal.entries() == [entry(1, "x" * 10_000)]


def test_a_call_is_under_way_until_its_end_is_noted() -> None:
    journal = Journal(max_entries=2)
    for number in (1, 2, 3):
        journal.add(entry(number), 10)
    journal.end("req_1", 71, client_gone=False)  # forgotten by now
    journal.end("req_3", 73, client_gone=True)
    assert [(kept.request_id, kept.ended_ns, kept.client_gone) for kept in journal.entries()] == [
        ("req_2", 0, False),
        ("req_3", 73, True),
    ]


def test_entries_are_found_by_their_text() -> None:
    journal = Journal()
    journal.add(entry(1, "delivery d-abc"), 10)
    journal.add(entry(2, "delivery d-xyz"), 10)
    assert [kept.request_id for kept in journal.entries("d-xyz")] == ["req_2"]


def test_a_key_has_the_same_name_each_time_and_does_not_stand_in_it() -> None:
    assert key_id("sk-ant-a") == key_id("sk-ant-a") != key_id("sk-ant-b")
    assert "sk-ant" not in key_id("sk-ant-a")


def test_keys_do_not_enter_the_journal() -> None:
    headers = without_keys([("Authorization", "Bearer secret"), ("X-Api-Key", "secret"), ("traceparent", "00-1-2-01")])
    assert headers == {"authorization": "…", "x-api-key": "…", "traceparent": "00-1-2-01"}


def test_clearing_forgets_everything() -> None:
    journal = Journal()
    journal.add(entry(1), 10)
    journal.clear()
    assert journal.entries() == []
