"""What exists is documented: commands and addresses (settings: test_environment). `make documents` writes anew."""

from citysearch.tests import documents


def test_the_document_of_commands_is_that_of_the_parsers() -> None:
    assert (documents.FOLDER / "commands.md").read_text() == documents.commands_document()


def test_the_document_of_the_api_is_that_of_the_schema() -> None:
    assert (documents.FOLDER / "api.md").read_text() == documents.api_document()


def test_every_option_and_every_address_says_what_it_does() -> None:
    assert documents.options_without_help() == []
    assert documents.addresses_without_summary() == []
