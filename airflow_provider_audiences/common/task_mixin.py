"""What all operators and sensors of this provider share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import conf

from airflow_provider_audiences.common.errors import task_errors
from airflow_provider_audiences.common.forgetting import ForgottenLocalsMixin
from airflow_provider_audiences.common.lost_arguments import LostArgumentsMixin
from airflow_provider_audiences.common.masked import revealed
from airflow_provider_audiences.common.retrying import RetryPolicyMixin
from airflow_provider_audiences.common.stopping import StoppableMixin
from airflow_provider_audiences.common.text_templates import TextTemplatesMixin
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.validation import BROKEN, is_broken

DEFAULT_DEFERRABLE = conf.getboolean("operators", "default_deferrable", fallback=False)
"""Whether tasks that wait do so in the triggerer, if their DAG does not say."""


class TaskMixin(LostArgumentsMixin, ForgottenLocalsMixin, StoppableMixin, RetryPolicyMixin, TextTemplatesMixin):
    """
    Mixin of all operators and sensors. Each of its bases does one thing, and says what.

    They refuse arguments that got lost on the way, keep members out of tracebacks, stop at once when Airflow ends the
    task, wait before the next try as long as the platform has asked, and render text as text.
    """

    @contextmanager
    def running(self) -> Iterator[None]:
        """
        Check the task's arguments; the block then does the task's work, and its permanent errors are not retried.

        :raises InvalidInputError: a template field was given and is None now, or is text that can't be written as
            UTF-8. The message names the first such field.
        :raises TaskStoppedError: Airflow has ended the task.
        """
        with task_errors(), self.stoppable():
            self.refuse_lost_arguments()
            for name in self.template_fields:
                if is_broken(revealed(getattr(self, name, None))):
                    raise InvalidInputError(f"{name} {BROKEN}")
            yield
