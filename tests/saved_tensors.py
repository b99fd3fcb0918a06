"""What autograd keeps for the backward pass, measured."""

import torch


def saved_bytes(forward, *, model):
    """Bytes of the distinct storages that `forward` saves, the model's own parameters aside."""
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    storages = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            # Holding the tensor keeps the address from being used again.
            storages[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        kept = forward()
    del kept
    return sum(size for size, _ in storages.values())
