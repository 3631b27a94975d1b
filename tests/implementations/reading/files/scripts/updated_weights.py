import numpy as np

np.random.seed(11)
samples, d_in, width, d_out = 32, 12, 10, 4
inputs = np.random.randn(samples, d_in)
wanted = np.random.randn(samples, d_out)
weight1 = np.random.randn(d_in, width)
weight2 = np.random.randn(width, d_out)
learning_rate = 1e-6

for t in range(300):
	hidden = inputs.dot(weight1)
	rectified = np.maximum(hidden, 0)
	predicted = rectified.dot(weight2)
	loss = np.square(predicted - wanted).sum()
	if t % 50 == 49:
		print(t, loss)

	grad_predicted = 2.0 * (predicted - wanted)
	grad_weight2 = rectified.T.dot(grad_predicted)
	weight2 -= learning_rate * grad_weight2
	grad_rectified = grad_predicted.dot(weight2.T)
	grad_hidden = grad_rectified.copy()
	grad_hidden[hidden < 0] = 0
	grad_weight1 = inputs.T.dot(grad_hidden)

	weight1 -= learning_rate * grad_weight1
