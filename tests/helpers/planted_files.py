"""Faults to plant in tests/implementations/reading/files: what is replaced by what, once."""

# file, what stands there, what is put there
FAULTS: tuple[tuple[str, str, str], ...] = (
    ("softmax_class.py", " * (self.z1 > 0)", ""),
    ("softmax_class.py", "dz2 = (self.probs - y) / m", "dz2 = self.probs - y"),
    (
        "quadratic_columns.py",
        "np.dot(self.weights[-l + 1].transpose(), delta) * sp",
        "np.dot(self.weights[-l + 1].transpose(), delta)",
    ),
    ("two_layer_functions.py", "(1 - np.power(A1, 2))", "(1 - np.power(cache['Z1'], 2))"),
    (
        "two_layer_functions.py",
        "db1 = np.sum(dZ1, axis=1, keepdims=True) / m",
        "db1 = np.sum(dZ1, axis=1, keepdims=True)",
    ),
    ("deep_functions.py", "dZ = dA * (Z > 0)", "dZ = dA"),
    (
        "digits_functions.py",
        "db2 = 1 / m * np.sum(dZ2, axis=1, keepdims=True)",
        "db2 = 1 / m * np.sum(dZ2)",
    ),
    ("eleven_lines.py", "l2_delta.dot(syn1.T) * (l1 * (1 - l1))", "l2_delta.dot(syn1.T)"),
    (
        "data_in_constructor.py",
        " * sigmoid_derivative(self.layer1)",
        " * sigmoid_derivative(hidden_in)".replace("hidden_in", "sigmoid(self.layer1)"),
    ),
    ("layer_list.py", "1 - np.tanh(x) ** 2", "1 - np.tanh(x)"),
    ("layer_list.py", "2 * (y_pred - y_true) / np.size(y_true)", "2 * (y_pred - y_true)"),
    (
        "loss_returns_grads.py",
        '2 * reg * W2\n        grads["b2"] = np.sum(dscores, axis=0)',
        '2 * reg * W2\n        grads["b2"] = np.mean(dscores, axis=0)',
    ),
    ("loss_returns_grads.py", "dhidden[hidden <= 0] = 0", "pass"),
    (
        "small_framework.py",
        "grad * (1 - np.tanh(self.inputs) ** 2)",
        "grad * (1 - self.inputs ** 2)",
    ),
    (
        "lists_of_floats.py",
        'error += neuron["weights"][j] * neuron["delta"]',
        'error += neuron["weights"][j] * (neuron["output"] - 0.5)',
    ),
    (
        "query_and_train.py",
        "hidden_errors * hidden_outputs * (1.0 - hidden_outputs)",
        "hidden_errors * hidden_outputs",
    ),
    ("random_data_script.py", "grad_h[h < 0] = 0", "grad_h[h > 0] = 0"),
    ("global_weights.py", "d @ W2.T * (1 - h ** 2)", "d @ W2.T * (1 - h)"),
    ("value_and_grad.py", "(delta @ W.T) * (1 - a ** 2)", "delta @ W.T"),
    ("fit_only.py", "d_out @ self.w2.T * h * (1 - h)", "(out - y) @ self.w2.T * h * (1 - h)"),
    ("params_dict_class.py", "da1 = z1 * (1 - z1) * dz1", "da1 = a1 * (1 - a1) * dz1"),
    (
        "columns_class.py",
        "self.dW[l] = dZ @ self.A[l - 1].T / m",
        "self.dW[l] = dZ @ self.A[l - 1].T / m ** 2",
    ),
    (
        "columns_class.py",
        "np.where(self.Z[l - 1] > 0, 1, 0.01)",
        "np.where(self.Z[l - 1] > 0, 1, 0.0)",
    ),
    ("dense_layers.py", "self.dinputs[self.inputs <= 0] = 0", "pass"),
    ("one_output_class.py", "X.T @ dh, dh.sum(axis=0)", "X.T @ dh, dh.mean(axis=0)"),
    ("loss_in_loop_script.py", "(1 - A1 ** 2)", "(1 - A1)"),
    ("per_example_script.py", "delta_o * w_out * h * (1 - h)", "delta_o * w_out * h"),
    (
        "notebook.ipynb",
        "np.where(self.Z[l - 1] > 0, 1, 0.01)",
        "np.where(self.Z[l] > 0, 1, 0.01)".replace("self.Z[l]", "self.A[l - 1] - 1"),
    ),
    ("late_weights.py", "(1 - self.h ** 2)", "(1 - self.h)"),
    ("no_targets.py", "(1 - h * h)", "(1 - h)"),
    (
        "scalar_graph.py",
        "((self, other.value), (other, self.value))",
        "((self, self.value), (other, other.value))",
    ),
    ("sizes_unnamed.py", "d.sum(1, keepdims=True)", "d.mean(1, keepdims=True)"),
    (
        "two_inputs.py",
        "better.T @ (e * self.v * (1 - hb ** 2)) - worse.T",
        "better.T @ (e * self.v * (1 - hb ** 2)) + worse.T",
    ),
    ("whole_of_parts.py", "back * self.slope", "back * self.h"),
    ("scalar_graph.py", "self.grad += seed", "self.grad = seed"),
    (
        "layer_list.py",
        "input_gradient = np.dot(self.weights.T, output_gradient)\n"
        "        self.weights -= learning_rate * weights_gradient",
        "self.weights -= learning_rate * weights_gradient\n"
        "        input_gradient = np.dot(self.weights.T, output_gradient)",
    ),
    ("deep_functions.py", "return W.T.dot(dZ), dW, db", "return W.T.dot(dZ) / m, dW, db"),
    ("propagate_functions.py", '"db": np.mean(A - Y)', '"db": np.sum(A - Y)'),
    ("batches_of_pairs.py", "eta * db[i] / len(data)", "eta * db[i]"),
    ("column_or_flat.py", "y = np.reshape(y, (-1, 1))", "y = np.asarray(y)"),
    ("decay_of_zero.py", "X.T @ dh + 2 * self.l2", "X.T @ dh + self.l2"),
)
