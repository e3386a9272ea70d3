"""Human pose and shape (SMPL) from pictures."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smplcli.body.files import load_body as load_body
    from smplcli.workflows.evaluate import evaluate as evaluate
    from smplcli.workflows.predict import predict as predict
    from smplcli.workflows.prepare import prepare as prepare
    from smplcli.workflows.render import render as render
    from smplcli.workflows.submit import submit as submit
    from smplcli.workflows.train import train as train
    from smplcli.workflows.view import view as view

    __version__: str

_EXPORTS = {
    "evaluate": "smplcli.workflows.evaluate",
    "load_body": "smplcli.body.files",
    "predict": "smplcli.workflows.predict",
    "prepare": "smplcli.workflows.prepare",
    "render": "smplcli.workflows.render",
    "submit": "smplcli.workflows.submit",
    "train": "smplcli.workflows.train",
    "view": "smplcli.workflows.view",
}
__all__ = [
    "__version__",
    "evaluate",
    "load_body",
    "predict",
    "prepare",
    "render",
    "submit",
    "train",
    "view",
]


def __getattr__(name: str) -> Any:
    """Import a command's workflow when it is first used: they need torch, which takes seconds."""
    if name == "__version__":
        from importlib.metadata import version

        return version("smplcli")
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
