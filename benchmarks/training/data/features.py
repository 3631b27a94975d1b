"""From raw records to what a network is fed. Whatever is fitted is fitted on training data only."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from samegrad.benchmarks.training.data.records import Records

Array = Any
# (records, rows for training) -> X and y of all records; scales of X are fitted later.
Features = Callable[[Records, Array], tuple[Array, Array]]

NEWS_FEATURES = 300
NEWS_WORDS = 8000
TITLES = ("Mr", "Mrs", "Miss", "Master")
PRICE_UNIT = 1000.0  # dollars


def as_given(records: Records, rows: Array) -> tuple[Array, Array]:
    """The records themselves."""
    return records.X, records.y


def tfidf(records: Records, rows: Array) -> tuple[Array, Array]:
    """TF-IDF of words, reduced to 300 features by a truncated SVD (latent semantic analysis)."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import Normalizer

    words = TfidfVectorizer(sublinear_tf=True, min_df=2, max_df=0.5, stop_words="english")
    counts = words.fit_transform([records.X[i] for i in rows])
    svd = TruncatedSVD(NEWS_FEATURES, random_state=0).fit(counts)
    X = Normalizer().transform(svd.transform(words.transform(records.X)))
    return X, records.y


def telling_words(records: Records, rows: Array) -> tuple[Array, Array]:
    """TF-IDF of the 8,000 words that tell most about a document's group, in rows of unit length.

    These are chosen by the labels of the training documents (chi squared): a task with these
    features holds its validation documents out for good.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.feature_selection import SelectKBest, chi2
    from sklearn.preprocessing import normalize

    words = TfidfVectorizer(sublinear_tf=True, min_df=2, max_df=0.5, dtype=np.float32)
    counts = words.fit_transform([records.X[i] for i in rows])
    chosen = SelectKBest(chi2, k=NEWS_WORDS).fit(counts, records.y[rows])
    return normalize(chosen.transform(words.transform(records.X))).toarray(), records.y


def stripped(records: Records) -> Records:
    """The same documents without headers, footers and quotes, as scikit-learn removes them."""
    from sklearn.datasets import _twenty_newsgroups as news

    def strip(text: str) -> str:
        text = news.strip_newsgroup_header(text)
        return str(news.strip_newsgroup_footer(news.strip_newsgroup_quoting(text)))

    return replace(records, X=[strip(text) for text in records.X])


def passengers(records: Records, rows: Array) -> tuple[Array, Array]:
    """One-hot class, sex, port, title and deck; age (imputed), fare and family size, numbers."""
    table = records.X
    title = table.Name.str.extract(r",\s*([A-Za-z ]+)\.", expand=False).str.strip()
    title = title.replace({"Mlle": "Miss", "Ms": "Miss", "Mme": "Mrs"})
    title = title.where(title.isin(TITLES), "other")
    family = table.SibSp + table.Parch + 1
    ages = table.Age.iloc[rows].groupby(title.iloc[rows]).median()
    age = table.Age.fillna(title.map(ages)).fillna(table.Age.iloc[rows].median())
    fare = table.Fare.fillna(table.Fare.iloc[rows].median())
    numbers = {
        "age": age,
        "age unknown": table.Age.isna(),
        "fare": np.log1p(fare),
        "family": family,
        "alone": family == 1,
        "child": age < 15,
    }
    categories = {
        "class": table.Pclass,
        "sex": table.Sex,
        "port": table.Embarked,
        "title": title,
        "deck": table.Cabin.str[0],
    }
    X = np.column_stack(
        [*(np.asarray(v, float) for v in numbers.values()), _one_hot(categories, rows)]
    )
    return X, table.Survived.to_numpy(float)[:, None]


def cars(records: Records, rows: Array) -> tuple[Array, Array]:
    """Numbers (missing ones imputed by the median) and one-hot categories; y is log price."""
    table = records.X
    kept = table.columns.drop(["price"])
    columns, categories = [], {}
    for name in kept:
        column = table[name]
        if column.dtype.kind == "f":
            columns.append(column.fillna(column.iloc[rows].median()).to_numpy(float))
        else:
            categories[name] = column
    X = np.column_stack([*columns, _one_hot(categories, rows)])
    return X, np.log(table.price.to_numpy(float) / PRICE_UNIT)[:, None]


def _one_hot(categories: dict[str, Any], rows: Array) -> Array:
    """A column per value of the data set; what training has not seen is zero, like what is missing.

    So the number of features is that of the data set, and nothing unknown has an effect.
    """
    import pandas as pd

    table = pd.get_dummies(pd.DataFrame(categories).astype(object))
    return (table & table.iloc[rows].any()).to_numpy(float)


def shifted(X: Array) -> Array:
    """Four copies of square images, moved by a pixel right, left, down and up; zeros come in."""
    side = int(X.shape[1] ** 0.5)
    padded = np.pad(X.reshape(-1, side, side), ((0, 0), (1, 1), (1, 1)))
    corners = ((1, 0), (1, 2), (0, 1), (2, 1))
    moved = [padded[:, row : row + side, column : column + side] for row, column in corners]
    return np.concatenate(moved).reshape(-1, side * side)


def scale(X: Array, rows: Array, how: str) -> tuple[Array, Array]:
    """(shift, scale) of X, so that (X - shift) / scale is what the network is fed.

    Args:
        how: "none"; "image" (one mean and deviation for all pixels); "planes" (one for each of
            the three colours); "columns" (each feature on its own, but for zeros and ones).
    """
    if how == "none":
        return np.zeros(1), np.ones(1)
    seen = np.asarray(X[rows], np.float64)
    if how == "image":
        return np.array([seen.mean()]), np.array([seen.std()])
    if how == "planes":
        colours = seen.reshape(len(seen), 3, -1)
        size = colours.shape[2]
        return (
            np.repeat(colours.mean(axis=(0, 2)), size),
            np.repeat(colours.std(axis=(0, 2)), size),
        )
    # Zeros and ones stay: a rare category would otherwise be a huge number.
    kept = ((X == 0) | (X == 1)).all(axis=0) | (seen.std(axis=0) == 0)
    return np.where(kept, 0.0, seen.mean(axis=0)), np.where(kept, 1.0, seen.std(axis=0))


FEATURES: dict[str, Features] = {
    "as given": as_given,
    "tfidf": tfidf,
    "telling words": telling_words,
    "passengers": passengers,
    "cars": cars,
}
