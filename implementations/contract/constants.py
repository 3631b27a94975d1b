"""The constants of activations and update rules, each with its source and unit."""

FORWARD_ONLY = ("unit_step",)  # activations without a useful derivative
LEAKY_SLOPE = 0.01  # Maas, Hannun and Ng 2013; torch's and JAX's default
T_REF, TAU = 0.002, 0.02  # seconds: refractory period and membrane time constant of lif_rate
LIF_WIDTH = 0.02  # in units of the threshold; our choice: below it the rate is hard to tell apart
# The rules' constants are torch's defaults (torch has none for momentum; 0.9 is the usual one).
MOMENTUM = 0.9
ADAGRAD_EPS = 1e-10
RHO, ADADELTA_EPS = 0.9, 1e-6
BETA1, BETA2, ADAM_EPS = 0.9, 0.999, 1e-8
