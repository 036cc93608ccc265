"""The neuron page."""

from lens.widgets.neuron.page import NeuronPage, neuron

__all__ = ["NeuronPage", "neuron"]
