"""`samegrad.check`: verdicts, pins, state over calls, bad input, and nothing is left changed."""

import json
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from samegrad.implementations.checking.objects import lines
from samegrad.implementations.checking.objects.check import check
from samegrad.implementations.contract.texts import ACTING
from samegrad.implementations.reading.files import FileReport
from samegrad.implementations.tracing.explain import Line
from tests.implementations.checking.objects.styles import Returned, rows

X, Y, _ = rows()


class Hostile:
    """What is shown of it clears a terminal."""

    def __repr__(self) -> str:
        return "\x1b[2Jx\0"


def checked(net: Any, **options: Any) -> Any:
    """The report of a network with this data."""
    return check(net, lambda: net.loss(X, Y), lambda: net.grads(X, Y), (X, Y), **options)


@pytest.mark.quick
def test_report_shows_escapes_and_does_not_send_them() -> None:
    """Of an exception and of a name, as text and in a notebook."""
    net = Returned("")
    net.__dict__["\x1b[2J"] = np.ones(3)

    def backward() -> None:
        raise RuntimeError("\x1b]0;owned\x07\x00")

    report = check(net, lambda: net.loss(X, Y) + float(net.__dict__["\x1b[2J"].sum()), backward)

    for text in (str(report), report._repr_html_(), str(FileReport("f\x1b.py", report))):
        assert not ACTING.search(text)
        assert r"\x1b]0;owned\x07\x00" in text


@pytest.mark.quick
def test_right_gradients_agree_and_are_shown() -> None:
    """With what was taken for what."""
    report = checked(Returned(""))

    assert report.agrees and report and "" == report.reason
    assert [f"returned[{i}]" for i in range(4)] == [m.gradient for m in report.matches]
    assert ["net.W1", "net.b1", "net.W2", "net.b2"] == [m.name for m in report.matches]
    assert [1.0] * 4 == [m.constant for m in report.matches]


def test_object_is_afterwards_as_it_was() -> None:
    """Bit for bit, without the caches of the calls; the data and the generators too."""
    net = Returned("")
    before = {key: np.copy(value) for key, value in vars(net).items()}
    data, state = X.copy(), np.random.get_state()[1].copy()  # noqa: NPY002 # the user's own

    checked(net)

    assert before.keys() == vars(net).keys()
    assert all(np.array_equal(before[key], value) for key, value in vars(net).items())
    assert np.array_equal(data, X)
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002 # the user's own


def test_object_is_as_it_was_when_its_code_raises() -> None:
    """In the middle of the slopes."""
    net = Returned("")
    before = net.W1.copy()
    calls = iter(range(1000))

    def loss() -> Any:
        if next(calls) == 60:
            raise ZeroDivisionError("in the middle")
        return net.loss(X, Y)

    report = check(net, loss, lambda: net.grads(X, Y), (X, Y))

    assert "not checked" == report.verdict and "ZeroDivisionError: in the middle" in report.reason
    assert "test_check.py" in report.lines[0]
    assert np.array_equal(before, net.W1) and {"W1", "b1", "W2", "b2", "fault"} == vars(net).keys()


def test_constant_of_all_gradients_is_named() -> None:
    """Once, with what it is made of."""
    report = checked(Returned("not averaged"))

    assert "all gradients are 7 times (batch size) the slopes of the loss" == report.reason
    assert {7.0} == {round(m.constant, 6) for m in report.matches}


def test_params_and_grads_pin_what_is_guessed() -> None:
    """By paths, arrays or functions; a wrong pin is a wrong gradient."""
    net = Returned("")
    grads = ["returned[0]", "returned[1]"]

    assert ["W1", "net.b1"] == [m.name for m in checked(net, params=["W1", "net.b1"]).matches]
    assert checked(net, params=["W1", "b1"], grads=grads).agrees
    assert checked(net, params={"first": net.W1}, grads={"first": "returned[0]"}).agrees
    assert checked(net, params=["W1"], grads=[lambda: net.grads(X, Y)[0]]).agrees
    assert checked(net, params=["W1", "b1"], grads=grads[::-1]).disagrees


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"params": ["W9"]}, ValueError, "leads to no float array; found: net.W1"),
        ({"params": [np.ones(3)]}, ValueError, "is not held by the net"),
        ({"params": 3}, TypeError, "give a dict or a list"),
        ({"grads": ["returned[9]"]}, ValueError, "leads to no float array after backward"),
        ({"tolerance": 2.0}, ValueError, "tolerance 2.0 is not accepted"),
        ({"tolerance": True}, ValueError, "tolerance True is not accepted"),
        ({"tolerance": "1"}, ValueError, "tolerance '1' is not accepted"),
        (
            {"tolerance": Hostile()},
            ValueError,
            r"tolerance [^\x00-\x1f]*x[^\x00-\x1f]* is not accepted",
        ),
        ({"dtype": "int"}, ValueError, "dtype 'int' is not known; accepted: float32, float64"),
    ],
)
def test_wrong_arguments_are_refused(options: Any, error: Any, message: str) -> None:
    """With what was given and what is accepted."""
    with pytest.raises(error, match=message.replace("(", r"\(")):
        checked(Returned(""), **options)


def test_functions_must_be_functions() -> None:
    """A name is none."""
    loss: Any = "loss"

    with pytest.raises(TypeError, match="loss is the text 'loss'; give a function"):
        check(None, loss, lambda: None)


def nothing() -> None:
    """Gives nothing."""


def exits() -> None:
    """As scripts do."""
    raise SystemExit(3)


def flat(x: Any, y: Any, *weights: Any) -> float:
    """A loss of parameters in a row."""
    return float(((x @ weights[0] - y) ** 2).sum())


NET = Returned("")


@pytest.mark.parametrize(
    ("loss", "backward", "says"),
    [
        (None, nothing, "no loss was given"),
        (lambda: 1.0, None, "no backward was given"),
        (lambda: np.ones(3), nothing, "loss() gave float64 of shape (3,), expected a number"),
        (lambda: (1.0, 2), nothing, "loss() gave tuple, expected a number"),
        (nothing, nothing, "loss() gave NoneType, expected a number"),
        (lambda: float("nan"), nothing, "the loss is nan"),
        (lambda: 1.0, nothing, "nothing that was found changes the loss"),
        (exits, nothing, "loss() raised SystemExit: 3"),
        (lambda: NET.loss(X, Y), exits, "backward() raised SystemExit: 3"),
        (lambda: NET.loss(X, Y), nothing, "no gradient was found for net.W1"),
        (lambda a, b, c: 1.0, nothing, "takes 3 arguments, and data has 2"),
        (flat, nothing, "flat takes *weights, which nothing was given for"),
    ],
)
def test_what_cannot_be_checked_is_said(loss: Any, backward: Any, says: str) -> None:
    """With what to do; never "disagrees", never a traceback."""
    report = check(NET, loss, backward, (X, Y))

    assert "not checked" == report.verdict and not report
    assert says in report.reason and report.advice
    assert all(len(line) <= 80 for line in str(report).splitlines())


def test_class_in_the_place_of_an_object_is_said() -> None:
    """Its weights are those of an object of it."""
    report = check(Returned, lambda: 1.0, nothing)

    assert "not checked" == report.verdict
    assert ("net is the class Returned itself; give an object of it",) == report.advice


def test_flat_parameters_are_checked_as_the_advice_says() -> None:
    """`lambda: flat(x, y, *weights)`, with the list as net: the advice can be copied."""
    rng = np.random.default_rng(0)
    x, y, weights = rng.normal(size=(5, 3)), rng.normal(size=(5, 2)), [rng.normal(size=(3, 2))]

    told = check(weights, flat, nothing, (x, y))
    report = check(
        weights,
        lambda: flat(x, y, *weights),
        lambda: [2 * x.T @ (x @ weights[0] - y)],
        (x, y),
    )

    assert "net=weights, lambda: flat(x, y, *weights)" in " ".join(told.advice)
    assert report.agrees, report


def test_loss_that_changes_by_itself_is_undecided() -> None:
    """A loss that trains, or that no seed makes steady."""
    net = Returned("")
    before = net.W1.copy()

    def trains() -> Any:
        value = net.loss(X, Y)
        net.W1 = net.W1 - 0.1 * net.grads(X, Y)[0]
        return value

    report = check(net, trains, lambda: net.grads(X, Y), (X, Y))

    assert "undecided" == report.verdict and "changes by itself" in report.reason
    assert np.array_equal(before, net.W1)


def test_gradient_that_changes_by_itself_is_undecided() -> None:
    """No seed helps: it depends on the time."""
    net = Returned("")

    report = check(
        net,
        lambda: net.loss(X, Y),
        lambda: [g * (1 + time.monotonic() % 1) for g in net.grads(X, Y)],
        (X, Y),
    )

    assert "undecided" == report.verdict and "returned[0] changes by itself" in report.reason


class Kept:
    """One layer that keeps its gradient, spoilt as a caller says."""

    def __init__(self, spoil: Any) -> None:
        self.W1, self.spoil = np.eye(2, 3), spoil

    def loss(self) -> Any:
        """Squares, in a way that has a kink at every 0."""
        return (np.abs(self.W1) * np.arange(1.0, 7).reshape(2, 3)).sum() + (self.W1**2).sum()

    def grads(self) -> Any:
        """The gradient, 0 at a kink, and what is made of it."""
        self.dW1 = np.sign(self.W1) * np.arange(1.0, 7).reshape(2, 3) + 2 * self.W1
        self.spoil(self)


def spoilt(place: Any, value: float) -> Any:
    """Sets entries of the gradient that is kept."""

    def spoil(net: Kept) -> None:
        net.dW1[place] = value

    return spoil


@pytest.mark.parametrize(
    ("place", "count", "value"), [(..., 6, np.nan), ((0, 0), 1, np.nan), ((0, 0), 1, -np.inf)]
)
def test_gradient_that_is_not_finite_is_wrong(place: Any, count: int, value: float) -> None:
    """It is the same every time, whatever NaN is to itself; kept, returned and as an update."""
    net = Kept(spoilt(place, value))
    net.W1 = net.W1 + 2.0  # off the kinks

    def returned() -> Any:
        net.grads()
        return vars(net).pop("dW1")

    def updated() -> None:
        net.W1 = net.W1 - 0.1 * returned()

    for backward in (net.grads, returned, updated):
        report = check(net, net.loss, backward)

        assert "disagrees" == report.verdict
        assert f"{count} of 6 values not finite" in report.reason
        json.dumps(report.to_dict(), allow_nan=False)


def test_gradient_that_is_not_finite_at_a_kink_alone_is_undecided() -> None:
    """As W / |W| is at 0: no slope says what it should be."""

    def spoil(net: Kept) -> None:
        net.dW1[net.W1 == 0] = np.nan

    net = Kept(spoil)
    report = check(net, net.loss, net.grads)

    assert "undecided" == report.verdict and "4 of 6 values not finite" in report.reason


def test_gradient_that_is_not_finite_at_a_nearby_point_alone_is_not_wrong() -> None:
    """The point was drawn, because that of the user has kinks."""

    def spoil(net: Kept) -> None:
        if not (net.W1 == 0).any():
            net.dW1[:] = np.nan

    net = Kept(spoil)
    report = check(net, net.loss, net.grads)

    assert not report.disagrees


def test_array_of_nan_that_is_no_gradient_is_no_fault() -> None:
    """But where nothing else may be the gradient it may be meant, for backward() makes it."""
    net = Kept(lambda net: setattr(net, "mask", np.full((2, 3), np.nan)))
    net.W1 = net.W1 + 2.0

    assert check(net, net.loss, net.grads).agrees
    net.spoil = lambda net: setattr(net, "mask", net.__dict__.pop("dW1") * np.nan)
    assert "undecided" == check(net, net.loss, net.grads).verdict


def test_data_changed_in_place_is_found_and_put_back() -> None:
    """The gradients themselves are right."""
    net, before = Returned(""), X.copy()

    def backward() -> Any:
        found = net.grads(X, Y)
        X[:] *= 0.5
        return found

    report = check(net, lambda: net.loss(X, Y), backward, (X, Y))

    assert "loss() or backward() changes its data in place" == report.reason
    assert {"agrees"} == {match.verdict for match in report.matches}
    assert np.array_equal(before, X)


def test_right_array_without_its_name_does_not_hide_a_wrong_one_with_it() -> None:
    """net.dW1 is wrong although what is right lies about."""
    net: Any = Returned("")

    def backward() -> None:
        net.kept, net.db1, net.dW2, net.db2 = net.grads(X, Y)
        net.dW1 = 2.5 * net.kept

    report = check(net, lambda: net.loss(X, Y), backward, (X, Y))

    assert report.disagrees and "net.dW1 is 2.5 times the slopes of the loss" == report.reason


def test_gradient_is_added_by_an_update_that_is_right() -> None:
    """Minus the gradient is kept, and added: a note."""
    net: Any = Returned("sign")

    def backward() -> None:
        found = net.grads(X, Y)
        net.dW1, net.db1, net.dW2, net.db2 = found
        for name, g in zip(("W1", "b1", "W2", "b2"), found, strict=True):
            getattr(net, name)[...] += 0.1 * g

    report = check(net, lambda: net.loss(X, Y), backward, (X, Y))

    assert report.agrees and "scaled-gradient" in [note.code for note in report.notes]
    assert not check(
        net, lambda: net.loss(X, Y), backward, (X, Y), allow=["scaled-gradient", "rate"]
    ).notes


@pytest.mark.parametrize(("rate", "verdict"), [(0.3, "agrees"), (0.1, "disagrees")])
def test_given_rate_is_the_one_that_counts(rate: float, verdict: str) -> None:
    """Without it a constant of an update is a note."""
    net: Any = Returned("")

    def train() -> None:
        for name, g in zip(("W1", "b1", "W2", "b2"), net.grads(X, Y), strict=True):
            setattr(net, name, getattr(net, name) - 0.3 * g)

    report = check(net, lambda: net.loss(X, Y), train, (X, Y), rate=rate)

    assert verdict == report.verdict, str(report)


@pytest.mark.parametrize(
    ("factors", "says"),
    [
        ((1, 1, 1, 1), ""),
        ((-1, -1, -1, -1), "the update of net.W1 goes up its gradient: -0.3 times that"),
        ((1, 7, 1, 7), "the update of net.b1 is 2.1 times its gradient, that of others 0.3: "
                       "batch size times as much"),
    ],
    ids=["right", "uphill", "biases by sums"],
)  # fmt: skip
def test_updates_without_a_known_rate_have_one_and_go_downhill(factors: Any, says: str) -> None:
    """It is measured in the updates themselves."""
    net: Any = Returned("")

    def train() -> None:
        found = zip(("W1", "b1", "W2", "b2"), net.grads(X, Y), factors, strict=True)
        for name, g, factor in found:
            setattr(net, name, getattr(net, name) - 0.3 * factor * g)

    report = check(net, lambda: net.loss(X, Y), train, (X, Y))

    assert ("disagrees" if says else "agrees", says) == (report.verdict, report.reason)


def test_decay_in_an_update_alone_is_a_note() -> None:
    """The gradient is right, and the loss has no decay."""
    net: Any = Returned("")
    train = steps_of(net, "decay")

    report = check(net, lambda: net.loss(X, Y), train, (X, Y))

    assert ("agrees", True) == (
        report.verdict,
        "net.W1: 0.1 times the gradient, 0.001 times itself: decay that the loss has not"
        in "".join(note.text for note in report.notes if note.code == "decay-in-update"),
    )


def test_parameter_without_a_gradient_is_a_note_where_others_have_one() -> None:
    """A frozen layer."""
    net = Returned("")

    report = check(net, lambda: net.loss(X, Y), lambda: net.grads(X, Y)[:2], (X, Y))

    assert report.agrees
    assert ["no gradient was found for net.W2", "no gradient was found for net.b2"] == [
        note.text for note in report.notes if note.code == "no-gradient"
    ]


def test_report_is_text_table_and_json() -> None:
    """Escaped in HTML; JSON as it is."""
    net = Returned("z for a")
    report = check({"<b>": net}, lambda: net.loss(X, Y), lambda: net.grads(X, Y), (X, Y))
    found = json.loads(json.dumps(report.to_dict()))

    assert ("disagrees", report.reason) == (found["verdict"], found["reason"])
    assert "net['<b>'].W1" in str(report)
    assert "&lt;b&gt;" in report._repr_html_() and "<b>'" not in report._repr_html_()
    shown: list[str] = []
    file = FileReport("<i>.py", report)
    for one in (report, file):
        one._repr_pretty_(SimpleNamespace(text=shown.append), False)
    assert [str(report), str(file)] == shown
    assert file._repr_html_().startswith("<b>&lt;i&gt;.py</b>")


def test_lines_come_from_who_can_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked only where something is wrong; what fails there, or is a guess, is not shown."""
    asked: list[Any] = []

    def lines_of(trial: Any, judged: Any, *_: Any) -> Any:
        asked.append([match.verdict for match in judged.matches])
        if len(asked) > 1:
            raise RuntimeError
        return [Line("/a/net.py", 29, "delta"), Line("/a/net.py", 30, "db", certain=False)]

    monkeypatch.setattr(lines, "lines_of", lines_of)

    assert () == checked(Returned("")).lines
    assert ("net.py:29: delta",) == checked(Returned("z for a")).lines
    assert () == checked(Returned("z for a")).lines
    assert 2 == len(asked) and "disagrees" in asked[0]


def test_large_network_is_sampled_and_says_so() -> None:
    """One wrong entry of 20,000 shows along random directions."""
    rng = np.random.default_rng(0)
    net: Any = SimpleNamespace(W=rng.normal(size=(200, 100)) / 15)
    data = rng.normal(size=(8, 200))

    def backward(wrong: float = 0.0) -> Any:
        h = np.tanh(data @ net.W)
        found = data.T @ (h * (1 - h * h)) / 4
        found[17, 3] += wrong * np.abs(found).max()
        return found

    def loss() -> Any:
        return np.sum(np.tanh(data @ net.W) ** 2) / 8

    right = check(net, loss, backward, (data,))

    assert right.agrees and "entries measured, and random directions" in right.remarks[0]
    assert check(net, loss, lambda: backward(1.0), (data,)).disagrees


def steps_of(net: Any, rule: str) -> Any:
    """train() of one epoch: example by example, by Adam, or with decay in the update alone."""
    net.lr, net.moments = 0.1, dict.fromkeys(("W1", "b1", "W2", "b2"), (0.0, 0.0))

    def step(X: Any, y: Any) -> None:
        net.forward(X)
        for name, g in zip(net.moments, net.grads(X, y), strict=True):
            old, (m, v) = getattr(net, name), net.moments[name]
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            net.moments[name] = (m, v)
            adam = (m / 0.1) / (np.sqrt(v / 0.001) + 1e-8)
            decayed = g + (0.01 * old if name.startswith("W") else 0)
            setattr(net, name, old - net.lr * {"adam": adam, "decay": decayed}.get(rule, g))

    def train() -> None:
        if rule == "examples":
            for i in range(len(X)):
                step(X[i : i + 1], Y[i : i + 1])
        else:
            step(X, Y)

    return train


@pytest.mark.parametrize(
    ("rule", "right", "wrong"),
    [
        ("adam", "undecided", "undecided"),
        pytest.param("examples", "undecided", "disagrees", marks=pytest.mark.full),
        ("decay", "agrees", "disagrees"),
    ],
)
def test_update_of_another_rule_is_not_called_wrong(rule: str, right: str, wrong: str) -> None:
    """Where it shows too little of the gradient the verdict says so."""
    verdicts = []
    for fault in ("", "z for a"):
        net: Any = Returned(fault)
        train = steps_of(net, rule)
        verdicts.append(check(net, lambda net=net: net.loss(X, Y), train, (X, Y)).verdict)

    assert [right, wrong] == verdicts


def test_text_says_nothing_twice_and_fits_80_columns() -> None:
    """Of gradients that are wrong in many ways, with long names."""
    net = {"a network with a very long name " * 2: Returned("z for a")}
    inner = next(iter(net.values()))
    text = str(check(net, lambda: inner.loss(X, Y), lambda: inner.grads(X, Y), (X, Y)))
    lines_of_text = [line.strip() for line in text.splitlines()]

    assert max(map(len, text.splitlines())) <= 80
    assert len(set(lines_of_text)) == len(lines_of_text)


def test_exact_shows_what_is_proved() -> None:
    """In its sentence, with roots enclosed; a difference that no bound shows is a fault."""
    pytest.importorskip("mpmath", reason="mpmath is not installed")
    net: Any = SimpleNamespace(W=np.array([[0.5, -1.0], [2.0, 0.25]]))
    x = np.array([[1.0, 2.0], [0.5, -1.0]])

    def proved(loss: Any, backward: Any) -> Any:
        report = check(net, loss, backward, exact=True)
        return report.verdict, report.remarks[-1].split(":")[0]

    assert ("agrees", "proved") == proved(
        lambda: ((x @ net.W) ** 2).sum(), lambda: 2 * x.T @ (x @ net.W)
    )
    assert ("agrees", "enclosed") == proved(
        lambda: float(np.linalg.norm(net.W)), lambda: net.W / np.linalg.norm(net.W)
    )
    exact = check(
        net, lambda: ((x @ net.W) ** 2).sum(), lambda: (2 + 1e-9) * x.T @ (x @ net.W), exact=True
    )
    assert exact.disagrees and "exact numbers" in exact.reason


class Adding:
    """A layer whose gradients add up until they are set to zero."""

    def __init__(self) -> None:
        self.W, self.gain = np.array([[0.3, -0.2], [0.5, 0.1], [-0.4, 0.7]]), np.ones(2)
        self.dW, self.dgain = np.zeros((3, 2)), np.zeros(2)
        self.data = np.sin(np.arange(15.0)).reshape(5, 3)

    def loss(self) -> float:
        return float(np.sum((self.gain * (self.data @ self.W)) ** 2) / 2)

    def zero_grad(self) -> None:
        self.dW, self.dgain = np.zeros((3, 2)), np.zeros(2)

    def backward(self, forgets: bool = False) -> None:
        delta = self.gain * (self.data @ self.W)
        self.dgain = self.dgain + (delta * (self.data @ self.W)).sum(0)
        self.dW = self.dW + self.data.T @ (delta if forgets else delta * self.gain)

    def step(self, clears: bool) -> None:
        if clears:
            self.zero_grad()
        self.backward()
        self.W -= 0.1 * self.dW
        self.gain -= 0.1 * self.dgain


def test_step_that_does_not_clear_gradients_is_wrong() -> None:
    """What clears them is called before a backward pass alone, not before a whole step."""
    net = Adding()

    assert check(net, net.loss, net.backward, net.data).agrees
    assert check(net, net.loss, lambda: net.step(True), net.data).agrees
    assert "adds up over calls" in check(net, net.loss, lambda: net.step(False), net.data).reason


def test_weights_that_are_1_do_not_hide_that_they_are_left_out() -> None:
    """All of one number: judged at a point where they are not."""
    net = Adding()

    assert check(net, net.loss, lambda: net.backward(True), net.data).disagrees


@pytest.mark.parametrize(("factor", "verdict"), [(2.0, "agrees"), (1.0, "disagrees")])
def test_constant_is_made_up_for_by_an_update_with_a_known_rate_alone(
    factor: float, verdict: str
) -> None:
    """Twice the gradient, and half of it taken off; or all of it."""
    net = Adding()
    net.rate = 0.3  # type: ignore[attr-defined] # as students write it

    def backward() -> None:
        net.zero_grad()
        net.backward()
        net.dW, net.dgain = 2 * net.dW, 2 * net.dgain
        net.W -= net.rate * net.dW / factor  # type: ignore[attr-defined] # as students write it
        net.gain -= net.rate * net.dgain / factor  # type: ignore[attr-defined] # as students write it

    assert verdict == check(net, net.loss, backward, net.data).verdict
