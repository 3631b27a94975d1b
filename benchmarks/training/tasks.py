"""The tasks: each a network, its data, how it is trained, and how well it should do.

Rates, epochs, dropout and the like were chosen on validation data (a held-out part of the training
data; folds inside the folds in a cross-validation), never on test data. `goal` is a figure of the
test data that others, or we, have set; nothing in the code depends on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from samegrad.benchmarks.training.data.datasets import Data
from samegrad.benchmarks.training.recipe import Recipe
from samegrad.implementations.contract.commands import did_you_mean
from samegrad.implementations.contract.spec import MLPSpec


@dataclass(frozen=True)
class Task:
    """One named task.

    Attributes:
        name: for the command line; unique.
        data: where the records come from, and how they are split.
        recipe: the network and its training. Its target is one of the validation data.
        examples: how many are trained on; in a cross-validation, in its first fold.
        source: where the task comes from.
        goal: of the metric on test data; "" if there is none.
        family: what several tasks share: where no task is called so, it names all of them.
        candidates: other values of weight_decay, of which the best on the validation data of each
            fold is taken; then the network is trained on all of the fold's training data.
    """

    name: str
    data: Data
    recipe: Recipe
    examples: int
    source: str
    goal: str = ""
    family: str = ""
    candidates: tuple[float, ...] = ()


LECTURE = "course: neural networks from scratch"


def _mlp(sizes: Sequence[int], **options: object) -> MLPSpec:
    return MLPSpec(tuple(sizes), **options)  # type: ignore[arg-type] # MLPSpec checks them


# The last fifth of the training digits was written by other people than the rest, like the test
# digits: that is what has to be predicted.
DIGITS = Data("digits", scaling="image", validation=0.2, last=True, refit=True)
MNIST = Data("mnist", scaling="image", validation=1 / 12)
CIFAR = Data("cifar10", scaling="planes", validation=0.1, refit=True)
NEWS = Data("newsgroups", "tfidf", "columns", validation=0.1, refit=True)
OVERFIT = Recipe(
    _mlp((1, 250, 250, 1), loss="mse", optimizer="adam"), 1000, 0, 0.003, metric="rmse"
)

_TASKS = (
    Task(
        "digits",
        DIGITS,
        Recipe(
            _mlp((64, 32, 10), optimizer="adamw", weight_decay=0.1, dropout=0.3),
            40, 32, 0.005, "one_cycle", target=0.95,
        ),
        1_150,
        "scikit-learn's packaged digits (Alpaydin and Kaynak 1998)",
        goal="97 %",
    ),
    Task(
        "digits_shifted",
        replace(DIGITS, shifts=True),
        Recipe(
            _mlp((64, 256, 10), optimizer="adam", dropout=0.4),
            20, 32, 0.005, "one_cycle", target=0.97,
        ),
        5_750,
        "the same, with copies shifted by a pixel",
        goal="97 %",
        family="digits",
    ),
    Task(
        "line_length",
        Data("line_length", validation=0.1),
        Recipe(_mlp((10, 16, 16, 5)), 20, 32, 0.3, initializer="uniform", target=1.0),
        9_000,
        f"{LECTURE}: length of a line in an image of 10 x 1 pixels",
        goal="100 %",
    ),
    Task(
        "xor",
        Data("xor"),
        Recipe(
            _mlp((2, 4, 1), activation="tanh", loss="binary_cross_entropy", optimizer="momentum"),
            300, 0, 0.5, initializer="glorot_uniform",
        ),
        4,
        "Minsky and Papert 1969; the solution by unit steps is exact",
        goal="100 %",
    ),
    Task(
        "perceptron",
        Data("separable"),
        Recipe(_mlp((2, 3)), 50, 1, 1.0, rule="perceptron"),
        150,
        "Rosenblatt 1958: mistakes only, until a pass makes none",
        # It stops at the first lines that part its 150 points, which are not those of the data:
        # 98.0 to 99.7 % of other points, with five seeds.
        goal="99 %; 100 % of the training data",
    ),
    Task(
        "perceptron_xor",
        Data("xor_classes"),
        Recipe(_mlp((2, 2)), 50, 1, 1.0, rule="perceptron"),
        4,
        "Minsky and Papert 1969: no lines part XOR's classes, and the rule never settles",
        family="perceptron",
    ),
    Task(
        "softmax_regression",
        Data("tokens", validation=0.1),
        # After one of the tokens two others are nearly as likely (0.287 and 0.270): which comes out
        # on top is chance where each step sees one example.
        Recipe(_mlp((8, 8)), 20, 32, 1.0, "cosine"),
        3_600,
        "the next token of a known Markov chain, from the token before; no guess beats the chain's "
        "own probabilities",
        goal="44.45 %, that of the chain's own probabilities",
    ),
    Task(
        "sine",
        Data("sine"),
        Recipe(_mlp((3, 1), loss="mse"), 2000, 0, 0.004, metric="rmse"),
        2_000,
        "a cubic polynomial fitted to sin x by gradient descent (torch's first example)",
    ),
    *(
        Task(
            f"approximation_{width}",
            Data("approximation"),
            Recipe(
                _mlp((1, width, 1), activation="tanh", loss="mse", optimizer="adam"),
                1000, 0, 0.02, "cosine", metric="rmse",
            ),
            128,
            "universal approximation (Cybenko 1989; Hornik 1991): error against width",
            family="approximation",
        )
        for width in (2, 4, 8, 16, 32, 64)
    ),
    Task(
        "discrete_mapping",
        Data("discrete_mapping"),
        Recipe(
            _mlp((6, 10, 5, 3), activation="sigmoid"), 200, 0, 1.0, initializer="glorot_uniform",
            first_bias=False,
        ),
        300,
        f"{LECTURE}: noisy copies of three prototypes, sigmoid layers, full batches at rate 1, no "
        "bias in the first layer",
    ),
    Task(
        "overfit",
        Data("overfit", watched=True),
        OVERFIT,
        30,
        f"{LECTURE}: 30 noisy points, 63,501 weights",
    ),
    Task(
        "overfit_decay",
        Data("overfit", watched=True),
        # Twice as much and nothing is left of the weights: a constant, whose held-out loss (0.058)
        # looks like a cure, too.
        replace(OVERFIT, spec=replace(OVERFIT.spec, weight_decay=0.005)),
        30,
        "the same with L2 weight decay",
        family="overfit",
    ),
    Task(
        "overfit_dropout",
        Data("overfit", watched=True),
        replace(OVERFIT, spec=replace(OVERFIT.spec, dropout=0.3)),
        30,
        "the same with dropout",
        family="overfit",
    ),
    Task(
        "mnist",
        MNIST,
        Recipe(
            _mlp((784, 128, 64, 10), optimizer="adamw", weight_decay=0.1, dropout=0.1),
            20, 64, 0.003, "one_cycle", target=0.97,
        ),
        55_000,
        "LeCun and Cortes 1998",
        goal="98.4 %",
    ),
    Task(
        "digits28",
        MNIST,
        Recipe(
            _mlp((784, 16, 16, 10), activation="sigmoid"), 10, 1, 0.01, initializer="uniform"
        ),
        55_000,
        f"{LECTURE}: MNIST, one image at a time, weights uniform within 0.5, rate 0.01",
        family="mnist",
    ),
    Task(
        "mnist_fast",
        MNIST,
        Recipe(
            _mlp((784, 128, 64, 10), optimizer="adam"), 2, 128, 0.008, "one_cycle", target=0.97
        ),
        55_000,
        "the same network, trained to 97 % in the shortest time",
        goal="97 % in less than 2 s",
        family="mnist",
    ),
    *(
        Task(
            f"speedrun_{percent}",
            MNIST,
            Recipe(
                _mlp(sizes, optimizer="adam"), 2, batch_size, rate, "one_cycle", "he_uniform",
                target=percent / 100, updates=updates, pooled=True,
            ),
            60_000,
            f"MNIST to {percent} % of the test data: raw bytes in, weights out, all in the time",
            goal=f"{percent} %",
            family="speedrun",
        )
        for percent, sizes, batch_size, updates, rate in (
            (97, (196, 160, 10), 160, 550, 0.02),
            (98, (196, 256, 10), 192, 1200, 0.013),
        )
    ),
    Task(
        "mnist_512",
        MNIST,
        Recipe(
            _mlp((784, 512, 512, 10), optimizer="adamw", weight_decay=0.1, dropout=0.3),
            20, 128, 0.002, "one_cycle", target=0.97,
        ),
        55_000,
        "LeCun and Cortes 1998",
        goal="98.7 %",
        family="mnist",
    ),
    Task(
        "cifar10",
        CIFAR,
        Recipe(
            _mlp((3072, 512, 10), optimizer="adam", dropout=0.5),
            20, 128, 0.001, "one_cycle", target=0.5,
        ),
        45_000,
        "Krizhevsky 2009",
    ),
    Task(
        "cifar10_batch1",
        replace(CIFAR, records="cifar10_batch1"),
        Recipe(
            _mlp((3072, 512, 10), optimizer="adam", dropout=0.5),
            20, 128, 0.001, "one_cycle", target=0.4,
        ),
        9_000,
        "Krizhevsky 2009, the first of five training batches",
        goal="48 %",
        family="cifar10",
    ),
    *(
        Task(
            f"newsgroups{suffix}",
            replace(NEWS, stripped=suffix == "_stripped"),
            Recipe(
                _mlp((300, 2048, 256, 20), optimizer="adam", dropout=dropout),
                10, 512, 0.001, target=target,
            ),
            10_183,
            f"{LECTURE}: 20 newsgroups split by date{what}",
            goal=goal,
            family="newsgroups",
        )
        for suffix, dropout, target, goal, what in (
            ("", 0.0, 0.88, "82 %", ""),
            ("_dropout", 0.4, 0.88, "82 %", ", dropout"),
            ("_stripped", 0.4, 0.75, "", ", dropout, without headers, footers and quotes"),
        )
    ),
    Task(
        "newsgroups_words",
        Data("newsgroups", "telling words", validation=0.1),
        Recipe(
            _mlp((8000, 512, 20), optimizer="adamw", weight_decay=0.01, dropout=0.5),
            # Eight epochs give half a point more of validation data, and take longer.
            5, 128, 0.001, "one_cycle", target=0.9,
        ),
        10_183,
        f"{LECTURE}: 20 newsgroups split by date, dropout, words instead of their reduction",
        goal="84 %",
        family="newsgroups",
    ),
    Task(
        "titanic",
        Data("titanic", "passengers", "columns", validation=0.2, cross_validation=True),
        Recipe(
            _mlp((27, 8, 1), loss="binary_cross_entropy", optimizer="adam"), 40, 32, 0.005, "cosine"
        ),
        641,
        "passengers of the Titanic (Kaggle's 891 labelled rows)",
        goal="82 %, 10-fold cross-validation",
        candidates=(0.003, 0.01, 0.03),
    ),
    Task(
        "automobile",
        Data("automobile", "cars", "columns", validation=0.2, cross_validation=True),
        Recipe(
            _mlp((75, 32, 1), activation="tanh", loss="mse", optimizer="adam"),
            100, 16, 0.01, "cosine", metric="r2",
        ),
        144,
        "UCI's imports-85 (Schlimmer 1987), log price",
        goal="R² 0.90, 10-fold cross-validation",
        candidates=(0.0003, 0.001, 0.003),
    ),
)  # fmt: skip
TASKS = {task.name: task for task in _TASKS}


def select(names: Sequence[str]) -> list[Task]:
    """Tasks by their names, by patterns such as "mnist*", or all of a family.

    Raises:
        ValueError: a name is none of these.
    """
    chosen: dict[str, Task] = {}
    for name in names:
        if name in TASKS:
            named = [TASKS[name]]
        else:
            named = [t for t in _TASKS if t.family == name or fnmatchcase(t.name, name)]
        if not named:
            raise ValueError(
                f"task {name!r:.60} is not known; accepted: {', '.join(TASKS)}"
                f"{did_you_mean(name, TASKS)}"
            )
        chosen |= {task.name: task for task in named}
    return list(chosen.values())


# On these, all implementations must follow one loss curve in float64.
PARITY = ("digits", "line_length", "xor", "titanic")
