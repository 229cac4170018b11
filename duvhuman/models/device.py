"""Where networks are computed."""

from __future__ import annotations

from duvhuman.errors import OptionError


def check_device(name: str) -> str:
    """The name of a device that can be used, "auto" resolved: CUDA where there is one, else the CPU.

    Raises
    ------
    OptionError
        If there is no such device, or it cannot be used here.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        raise OptionError(f"unknown device {name!r}; there are auto, cpu, cuda, cuda:0, mps") from None
    gpus = torch.cuda.device_count()
    if device.type == "cuda" and gpus and (device.index or 0) >= gpus:
        raise OptionError(f"there is no {name!r}: this machine has {gpus} GPUs, from cuda:0")
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError):
        raise OptionError(f"device {name!r} was asked for, but cannot be used here; use auto or cpu") from None
    return str(device)
