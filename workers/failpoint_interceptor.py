"""Failpoints inside workflow tasks, for workers that run with EXEC_FAILPOINTS.

Rule: only a worker whose failpoints are armed has it. It changes no command and no history:
it looks at the calls of a workflow, never on replay. It must not know any workflow.
"""

from typing import Any, NoReturn

from temporalio import workflow
from temporalio.worker import (
    ContinueAsNewInput,
    Interceptor,
    StartActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from activities.failpoints import fp


class FailpointInterceptor(Interceptor):
    """Gives every workflow of a worker the failpoints `workflow.*`, aimed at by order id."""

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        """See Interceptor."""
        del input
        return _Inbound


class _Inbound(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Outbound(outbound))


class _Outbound(WorkflowOutboundInterceptor):
    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
        handle = super().start_activity(input)
        if input.activity == "submit":
            order_id = self.info().workflow_id
            # runs in the task that hears of the result, before the workflow does
            handle.add_done_callback(lambda _done: _pass("workflow.after_submit", order_id))
        return handle

    def continue_as_new(self, input: ContinueAsNewInput) -> NoReturn:
        _pass("workflow.continue_as_new", self.info().workflow_id)
        super().continue_as_new(input)


def _pass(name: str, order_id: str) -> None:
    if not workflow.unsafe.is_replaying():
        fp(name, order_id)
