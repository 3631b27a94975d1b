"""What people call things: the role of a parameter, and what a function is for, by its name."""

import re
from collections.abc import Sequence

SIZES = re.compile(
    r"(?:net(?:work)?_?)?(?:layers?_?)*(?:sizes?|layers?|dims?|dimensions|architecture|arch|topology"
    r"|nodes|structure|units|neurons|widths?|list|config|shape|nn_?shape|spec|num_neurons|layout"
    r"|couches|ar[cq]h?uite(?:c?tura|ttura)|architektur|tailles|capas|camadas|schichten|strati)"
    r"(?:_list)?"
)
INPUT = {"in", "input", "inputs", "feature", "features", "x", "d", "inp", "i", "fan", "inodes",
         "inputnodes", "ni", "nin", "nx", "innodes", "visible", "feat", "feats",
         "entree", "entrees", "entrada", "entradas", "eingabe", "eingang", "ingressi"}  # fmt: skip
HIDDEN = {
    "hidden",
    "hid",
    "h",
    "hiddens",
    "hnodes",
    "hiddennodes",
    "nh",
    "nhid",
    "hiddenlayer",
    "ff",
    "cachee",
    "caches",
    "oculta",
    "ocultas",
    "ocultos",
    "versteckt",
    "nascosti",
}
OUTPUT = {"out", "output", "outputs", "class", "classes", "y", "k", "c", "o", "labels", "onodes",
          "outputnodes", "no", "nout", "ny", "categories", "cls", "act", "actions", "emb",
          "sortie", "sorties", "salida", "salidas", "saida", "saidas", "ausgabe", "ausgang",
          "uscite"}  # fmt: skip

# The first that matches a whole name (lower case, without _ at its ends) is its role.
ROLES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (role, re.compile(pattern))
    for role, pattern in (
        ("lr", r"(?:lr|l_?rate|learning_?rate(?:_init)?|alpha|eta_?0?|step_?size"
               r"|rate|gamma|learning"
               r"|taux(?:_apprentissage)?|pas|tasa(?:_aprendizaje)?|taxa(?:_aprendizado)?|lern_?rate"
               r"|tasso)"),
        ("epochs", r"(?:n_?|num_?|no_?of_?|max_?|number_of_)?"
                   r"(?:epochs?|iters?|iterations?|passes|steps?|n_iter|training_iterations|epoques|epocas"
                   r"|epoche?n?|durchlaeufe|nb_epoques)(?:_num)?"),
        ("batch_size", r"(?:mini_?)?batch_?size|bs|batchsize"),
        ("reg", r"(?:reg(?:ularization)?(?:_?(?:lambda|strength|param|rate))?"
                r"|lam(?:bd?a?)?|v_?lambda|lmbda|lmbd"
                r"|l2(?:_?(?:reg|lambda|penalty))?|l1|weight_?decay|decay|lambda_?(?:reg|val)?"
                r"|momentum|momento|mu|beta\d?|dropout(?:_rate)?)"),
        ("keep", r"keep_?(?:prob\w*|rate)"),
        ("quiet", r"verbose|init_(?:params|weights)|re_?init(?:ialize)?|reset(?:_weights)?"
                  r"|print_?(?:cost|loss|every)|debug|plot|show|display|print_interval"),
        ("training", r"train|training|is_?train(?:ing)?|train_?mode"),
        ("grads", r"grads?|gradients?|deltas"),
        ("params", r"params?|parameters?|weights?(?:_and_bias(?:es)?)?|theta|thetas|w|ws|model|net"
                   r"|network|nn|p|weights_list|variables|state"),
        ("cache", r"(?:forward_?)?caches?|memory|trace|intermediates?|saved|activations?|tape|zs"
                  r"|history|store|forward_?(?:pass|results?|values?|output)|ctx|values"),
        ("X val", r"(?:x|inputs?|features|images)_?(?:val(?:id(?:ation)?)?|test|dev|eval)"
                  r"|(?:val(?:id(?:ation)?)?|test|dev|eval)_?(?:x|inputs?|features|images)"),
        ("y val", r"(?:y|labels?|targets?|outputs?)_?(?:val(?:id(?:ation)?)?|test|dev|eval)"
                  r"|(?:val(?:id(?:ation)?)?|test|dev|eval)_?(?:y|labels?|targets?|outputs?)"),
        ("data", r"(?:mini_?)?(?:batch|training_?data|data|dataset|train_?data|test_?data"
                 r"|examples|samples|(?:train(?:ing)?|test|data)_?sets?)"),
        ("X", r"(?:x|inputs?|features?|a0|input_?(?:data|list|s_list|vector|array|values|layer)"
              r"|inputs_list|x_?(?:batch|train|data|i|in|t|input|train|sample|b|mini)|xs|inp|images?"
              r"|training_?inputs?|example|sample|train_?(?:x|inputs?|images|data|features)|batch_?x|xb|xx"
              r"|row|vec|observations?|set_x|train_set_x|points?|inps?|coords?|v"
              r"|entrees?|entradas?|eingaben?|ingress[io]|(?:ejemplo|exemplo|muestra|amostra)s?"
              r"|(?:ejemplo|exemplo|datos|dados)s?_(?:de_)?entradas?)"),
        ("y", r"(?:y|ys|targets?|labels?|t|d|desired?(?:_outputs?)?(?:_data)?"
              r"|expected(?:_outputs?)?"
              r"|y_?(?:true|batch|train|data|i|one_?hot|act(?:ual)?|gt|real|target|b|label|oh|enc)"
              r"|true(?:_y|_labels?|_values?)?|training_?outputs?|actuals?|gt|ground_?truth|answers?"
              r"|train_?(?:y|labels?|targets?|outputs?)|batch_?y|yb|targets_list|truth|one_?hot_y"
              r"|target_?(?:output|vector|list|values?|s_list)s?|correct|reference|t_?batch|onehot"
              r"|one_?hot_?(?:labels?|targets?|enc(?:od(?:ed|ings?))?|vectors?)|real|label_?(?:batch|one_?hot)|set_y|tgts?|ts|pixels"
              r"|desead[ao]s?|desejad[ao]s?|esperad[ao]s?|(?:ejemplo|exemplo|datos|dados)s?_(?:de_)?sa(?:l)?idas?"
              r"|sal?idas?_(?:desead|desejad|esperad)[ao]s?|cibles?|sorties?_attendues?|objetivos?|alvos?|ziele?)"),
        ("out", r"(?:out(?:puts?)?|y_?(?:hat|pred(?:icted)?|out|p|h)|h_?x?|o\d?|preds?|predictions?"
                r"|predicted(?:_y|_outputs?)?|al|a\d?|a_?(?:out|last|l)|prob(?:as?|s|abilit(?:y|ies))?"
                r"|scores?|logits?|final_?outputs?|yh|result|last_?activation|net_output|q"
                r"|activated|last_?output|post_?activation(?:_outputs?)?|softmax_?out(?:put)?|actual_?output|output_?(?:layer|activation)|hypothesis|z)"),
        ("grad_out", r"(?:d_?out(?:put)?s?|grad_?(?:out(?:put)?|output|y|in)?"
                     r"|output_?(?:grad(?:ient)?"
                     r"|error|delta)|d_?values|errors?|delta|d_?(?:a|al|y|z|l|next|h|loss)|up_?stream"
                     r"|upstream_?grad(?:ient)?|accum_?grad|gradient|dl_?d\w+|back_?grad|d_?prev"
                     r"|eta_?next|loss_?grad(?:ient)?|next_?(?:grad|delta))"),
        ("n", r"m|n|n_?(?:samples|examples)|num_?(?:samples|examples|train)|batch"),
        ("k", r"(?:n_?|num_?)?(?:classes|labels|outputs)|k"),
        ("sizes", r"layers?_?(?:dims?|sizes?)?|sizes|dims?|architecture"),
    )
)  # fmt: skip

FORWARD = re.compile(
    r"_*(?:forward|feed_?forward|forward_?(?:prop|pass|propagat|step|propagation)|fwd|fw_?(?:prop|pass)|ff$|predict"
    r"|__call__$|l_?model_?forward|model_?forward|compute_?output|calc_?output|net$|mlp$|nn$|model$"
    r"|network(?:_function|_output)?$|run$|activate|query|evaluate_network|hypothesis|think|propagate$|inference"
    r"|feed$|predict_proba|probabilit|output$|forward_\w+|get_output|neural_net|logits$|call$|infer$|scores$"
    r"|avant$|propager|predire|prevoir|adelante$|propagar|predecir|prever|vorw(?:ae|\u00e4)rts$"
    r"|vorhersage|avanti$)",
    re.IGNORECASE,
)
PLAIN_FORWARD = re.compile(r"_*(?:forward|predict|feed|call|infer|logits)(?!.*back)", re.IGNORECASE)
BACKWARD = re.compile(
    r"_*(?:back|bwd|bw_?(?:prop|pass)|grad|compute_?grad|calc(?:ulate)?_?grad|get_?grad|l_?model_?back|model_?back"
    r"|loss_?and_?grad|cost_?and_?grad|value_?and_?grad|loss_?grad|cost_?grad|dloss|gradients?_"
    r"|nn_?cost_?function|cost_?function_?prime|cost_prime|compute_?(?:delta|deriv)"
    r"|(?!zero|clear|reset|update|apply)\w+_(?:grad(?:s|ients?)?|deltas)$|arri(?:e|\u00e8)re|r(?:e|\u00e9)tro_?propag|atras$|retropropag"
    r"|r(?:ue|\u00fc)ckw(?:ae|\u00e4)rts|indietro$|differentiate)",
    re.IGNORECASE,
)
LOSS = re.compile(
    r"_*(?:\w*_)?(?:loss|cost|losses|mse|objective|crossentropy|cross_?entropy|bce|nll|sse"
    r"|compute_?loss|compute_?cost|j|l2_?loss|costfunction|criterion|error_function|cee|xent"
    r"|mistakes?|misfit|squared_?error|mean_squared_?error|log_?loss|total_cost|cost_?fn|loss_?fn|cost_?func(?:tion)?"
    r"|loss_?func(?:tion)?|entropy|(?:neg(?:ative)?_?)?log_?lik(?:elihood)?|error|err|perte|co(?:u|\u00fb)t"
    r"|erreur|perdida|coste|costo|custo|perda|erro|fehler|kosten|verlust|error_\w+|poisson|huber"
    r"|hinge|\w*loss_?fun)(?:_fn|_func|_function|_value)?(?:_(?:with|and)_(?:reg|l2|penalt|decay)\w*)?",
    re.IGNORECASE,
)
# Gives the loss and its gradient.
BOTH = re.compile(
    r"_*(?:(?:loss|cost|value)_?(?:and_?)?(?:grad|back)\w*|nn_?cost_?function"
    r"|forward_?(?:and_?)?backward\w*)",
    re.IGNORECASE,
)
STEP = re.compile(
    r"_*(?:train|fit|train_?(?:step|one|on_batch|batch|network|model)|step|update(?:_mini_batch)?|sgd"
    r"|learn|partial_?fit|optimi[sz]e|gradient_?descent|nn_?model|l_?layer_?model|model|update_batch"
    r"|train_\w+|back_?prop\w*|backward\w*|update_?weights|run_mini_?batch|entra[iî]ner|apprendre"
    r"|entrenar|aprender|corregir(?:_pesos)?|actualizar(?:_pesos)?|atualizar(?:_pesos)?|treinar|trainiere|lernen?|addestra|sgd_?step)",
    re.IGNORECASE,
)
DESCENT = re.compile(r"_*grad\w*_?(?:descent|step)", re.IGNORECASE)  # steps of a gradient
INIT = re.compile(
    r"_*(?:init|make_?(?:param|net|mlp|model|weights)|create_?(?:param|net|weights|model)"
    r"|build_?(?:net|model|param)|new_?(?:net|param)|get_?(?:param|weights)|random_?(?:init|param|net)"
    r"|setup_?(?:param|net)|generate_?(?:param|weights)|reset_?(?:net|param|weights)|generar$|gerar$|inizializza|initialisier)",
    re.IGNORECASE,
)
# Runs all that there is, for as long as that takes.
WHOLE = re.compile(
    r"_*(?:main|run_?all|demo|experiment|example|plot|show|display|draw|visuali[sz]|animat|render)",
    re.IGNORECASE,
)
DERIVED = re.compile(
    r"_?(?:prime|grad(?:ient)?|deriv(?:ative|ada|ate|ee)?|backward|derivation|delta|d)$"
)
GRADIENT = re.compile(r"d_?[A-Z]\w*|d_?[wb]\d*|(?:grad|d)_\w+|g_\w+")  # of a variable
# Names of a loss that may be a measure that is not trained on.
WEAK = re.compile(r"(?:\w*_)?err(?:or|eur|o)?(?:_\w+)?|fehler", re.IGNORECASE)
PENALTIES = re.compile(r"reg\w*|l2\w*|lam(?:bd?a?\w*)?|lmbda|lmbd|weight_?decay")
MAYBE = re.compile(r"_grad(?:s|ients?)?$", re.IGNORECASE)  # of an activation, or of a loss alone
RISING = re.compile(r"_*log_?lik(?:elihood)?|\w*reward|elbo|objective", re.IGNORECASE)  # or made so
NO_LOSS = re.compile(
    r"accuracy|acc$|score(?!_?(?:loss|cost)$)|rmse|mae|absolute|abs_|r2|metric|print|plot|history",
    re.IGNORECASE,
)
WEIGHT = re.compile(
    r"(?:[wvb]\d*|[wb]_?(?:\d+|h|o|i|hidden|out(?:put)?|in(?:put)?|[hio]{2}|[xh]h|hy|xh)|w\w*_?\d*"
    r"|b(?:ias(?:es)?)?_?\w*|weights?\w*|theta_?\d+|u\d*|syn(?:apse)?_?\d+|kernel\d*|gamma\d*|c\d*)"
)

# Networks that are not of dense layers, by words of their names.
OUTSIDE = (
    (re.compile(r"conv(?:2d|1d|ol|_|$|net|layer)|im2col|max_?pool|avg_?pool"), "a convolution"),
    (re.compile(r"lstm|\bgru|rnn|h_?prev|prev_?h|h_?next|recurrent"), "a recurrent network"),
    (re.compile(r"attention|transformer"), "attention"),
    (re.compile(r"skip_?gram|cbow|word2vec|embedding|vocab"), "an embedding"),
)


def plain(name: str) -> str:
    """A name in lower case, without underscores at its ends."""
    return name.strip("_").lower()


def role(name: str) -> str:
    """The role of a parameter by its name, or ""."""
    word = plain(name)
    return next((r for r, pattern in ROLES if pattern.fullmatch(word)), "")


def rates(given: Sequence[str]) -> list[str]:
    """The learning rates among names; `alpha` or `gamma` beside another is none."""
    found = [name for name in given if role(name) == "lr"]
    return [name for name in found if plain(name) not in ("alpha", "gamma")] or found


def words(name: str) -> list[str]:
    """The words of a name: of snake_case, camelCase and digits."""
    return [w.lower() for w in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)]


def width(name: str) -> str:
    """Which width of a network a parameter is: "f", "h", "k", "sizes", "depth"; or ""."""
    given = words(name)
    found = set(given) | {plain(name)}
    if found & HIDDEN:
        if "layers" in found and found & {"n", "num", "number", "count"}:
            return "depth"
        plural = {"sizes", "layers", "dims", "units", "hiddens", "nodes"} & found
        return "hs" if plural and not found & {"n", "num", "number", "size", "dim"} else "h"
    if SIZES.fullmatch(plain(name)):
        return "sizes"
    if found & {"layers", "depth"} and found & {"n", "num", "number", "depth"}:
        return "depth"
    if found & INPUT:
        return "f"
    return "k" if found & OUTPUT else ""
