"""The equations of the network, of its gradient and of its updates, and their constants.

They are written once, here, and the line that computes one ends with its tag
(`# B4`) in every implementation. Row vectors everywhere: an example is a row of `X`, and a
layer computes `X @ W + b` (a source that writes `W x` has been transposed). With L layers,
a_0 = X, hidden activation g_1 = ... = g_{L-1} and output activation g_L:

    F1  z_l = a_{l-1} W_l + b_l
    F2  a_l = g_l(z_l)                        a_L are the outputs, "logits" where g_L = identity
    F3  a_l <- m_l * a_l                      dropout, in training and in hidden layers only
    L1  loss = mean over examples of -log softmax(a_L)[y]                      (cross_entropy)
             = 1/batch sum of log(1 + exp(a_L)) - y a_L                 (binary_cross_entropy)
             = 1/(2 batch) sum of (a_L - y)^2                                  (mse)
    L2  loss <- loss + l2/2 sum over layers of sum W_l^2                       (never b)
    B1  delta_L = dloss/da_L * g_L'(z_L)
            dloss/da_L = (softmax(a_L) - onehot(y)) / batch                    (cross_entropy)
                       = (sigmoid(a_L) - y) / batch                     (binary_cross_entropy)
                       = (a_L - y) / batch                                     (mse)
    B2  dW_l = a_{l-1}^T delta_l + l2 W_l
    B3  db_l = sum over batch of delta_l
    B4  delta_{l-1} = (delta_l W_l^T) * m_{l-1} * g_{l-1}'(z_{l-1})

Sums are over examples and outputs. A mask m_l holds 0 (dropped, with probability `dropout`) or
1/(1 - dropout) ("inverted": evaluation, without masks, needs no other scale).

One update of a parameter p with gradient dp at step t = 1, 2, ...; v, s, e, m start at 0:

    U1  p <- p - learning_rate dp                                              (sgd)
    U2  v <- MOMENTUM v + dp;   p <- p - learning_rate v                       (momentum)
    U3  v <- MOMENTUM v + dp;   p <- p - learning_rate (dp + MOMENTUM v)       (nesterov)
    U4  s <- s + dp^2;          p <- p - learning_rate dp / (sqrt(s) + ADAGRAD_EPS)     (adagrad)
    U5  s <- RHO s + (1 - RHO) dp^2;   d = sqrt(e + ADADELTA_EPS) / sqrt(s + ADADELTA_EPS) dp
        e <- RHO e + (1 - RHO) d^2;    p <- p - learning_rate d                (adadelta)
    U6  m <- BETA1 m + (1 - BETA1) dp;  v <- BETA2 v + (1 - BETA2) dp^2        (adam)
        p <- p - learning_rate m / (1 - BETA1^t) / (sqrt(v / (1 - BETA2^t)) + ADAM_EPS)
    U7  W <- W - learning_rate decay W before any of these   (adamw is U7 and U6; never b)

Without a gradient, one example at a time, the perceptron's rule (Rosenblatt 1958, several classes):

    P1  W <- W + x^T (onehot(y) - onehot(argmax z)),   b likewise;  nothing where argmax z = y

A spec's `weight_decay` is `l2` (a term of the loss) or, decoupled, `decay` (a part of the
update): the same thing under sgd, and two things under every other rule.

Sources: U2, U3 Sutskever et al. 2013 in the form of torch and optax; U4 Duchi et al. 2011; U5
Zeiler 2012; U6 Kingma and Ba 2015; U7 Loshchilov and Hutter 2019; F3 Srivastava et al. 2014.

Activations: relu and unit_step are z > 0 ? z : 0 and z > 0 ? 1 : 0; leaky_relu has slope
LEAKY_SLOPE on the left. At zero each derivative is that of the left side, so relu'(0) = 0 as in
torch.relu and jax.nn.relu. gelu is its tanh form (Hendrycks and Gimpel 2016), silu = z sigmoid(z),
softplus = log(1 + exp(z)). lif_rate is the steady firing rate of a leaky integrate-and-fire
neuron, G(v) = 1 / (T_REF - TAU log(1 - 1/v)) for v > 1 and 0 below. Its slope at v = 1 is
infinite, so it is softened as in Hunsberger and Eliasmith (2015, arXiv:1510.08829): with
-log(1 - 1/v) = log(1 + 1/(v - 1)), the threshold max(v - 1, 0) becomes j, a softplus of width
LIF_WIDTH,

    G(v) = 1 / (T_REF + TAU log(1 + 1/j)),   j = LIF_WIDTH log(1 + exp((v - 1) / LIF_WIDTH)),

which tends to the hard rate as LIF_WIDTH tends to 0. unit_step has no useful derivative: a
network with it has outputs and a loss, and its gradient is refused.
"""

FORWARD_ONLY = ("unit_step",)  # activations without a useful derivative
LEAKY_SLOPE = 0.01  # Maas, Hannun and Ng 2013; torch's and JAX's default
T_REF, TAU = 0.002, 0.02  # seconds: refractory period and membrane time constant of lif_rate
LIF_WIDTH = 0.02  # in units of the threshold; our choice: below it the rate is hard to tell apart
# The rules' constants are torch's defaults (torch has none for momentum; 0.9 is the usual one).
MOMENTUM = 0.9
ADAGRAD_EPS = 1e-10
RHO, ADADELTA_EPS = 0.9, 1e-6
BETA1, BETA2, ADAM_EPS = 0.9, 0.999, 1e-8
