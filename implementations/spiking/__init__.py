"""Spiking neurons in four idioms: integrate-and-fire (lif) and Hodgkin and Huxley's (hh)."""
