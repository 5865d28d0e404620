"""The table of words without quotes is what this kubectl makes of them."""

from support.kubectl_yaml import asked, rows


def test_kubectl_reads_the_words_as_the_table_says() -> None:
    table = rows()
    assert asked([row.word for row in table]) == table
