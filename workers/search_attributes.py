"""The search attributes that order workflows set, and their registration.

Rule: a worker never starts while one is missing: an upsert of an unregistered attribute would hang
every order silently. The names are those of the workflows' public contract.
"""

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from workflows.names import SEARCH_ATTRIBUTES

NAMES = tuple(key.name for key in SEARCH_ATTRIBUTES)
KEYWORD = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD


class SearchAttributesMissingError(Exception):
    """Some are not registered and could not be; the text holds the command that does it."""

    def __init__(self, names: tuple[str, ...], namespace: str, address: str) -> None:
        super().__init__(
            f"search attributes are not registered: {', '.join(names)}; "
            f"run: {command(names, namespace, address)}"
        )
        self.names = names


def command(names: tuple[str, ...], namespace: str, address: str) -> str:
    """The command line that registers them."""
    options = " ".join(f"--name {name} --type Keyword" for name in names)
    return (
        "temporal operator search-attribute create "
        f"--address {address} --namespace {namespace} {options}"
    )


async def missing(client: Client) -> tuple[str, ...]:
    """Those that the namespace does not know as a Keyword; raises RPCError."""
    answer = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    return tuple(name for name in NAMES if answer.custom_attributes.get(name) != KEYWORD)


async def ensure_registered(client: Client, address: str) -> None:
    """Register what is missing; raises SearchAttributesMissingError where that is not allowed."""
    names = await missing(client)
    if not names:
        return
    request = AddSearchAttributesRequest(
        namespace=client.namespace, search_attributes=dict.fromkeys(names, KEYWORD)
    )
    try:
        await client.operator_service.add_search_attributes(request)
    except RPCError as error:
        # Another worker may have been first: then nothing is missing any more.
        if error.status is not RPCStatusCode.ALREADY_EXISTS or await missing(client):
            raise SearchAttributesMissingError(names, client.namespace, address) from error
