"""Fixtures of several units: the inner loops in each of their forms."""

import importlib

import pytest

from secagg import kernels

FORMS = ["plain", "compiled"] if kernels.compiled_loops() else ["plain"]


@pytest.fixture(scope="module", params=FORMS)
def every_form(request):
    """Runs a module's tests with numpy's loops and, if there are any, with numba's."""
    loops = importlib.import_module(f"secagg.kernels.{request.param}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "loops", lambda: loops)
        yield request.param
