"""Just enough of PromQL to hold its names against a process: which metrics an expression asks for, inside which
functions, and which labels it names. What it does not understand raises ValueError.
"""
import re

TOKEN = re.compile(r"""\s*(?:
    (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<range>\[[^\]]*\])
  | (?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)
  | (?P<word>[A-Za-z_:][A-Za-z0-9_:]*)
  | (?P<sign>=~|!~|!=|==|<=|>=|[-+*/%^<>=(){},])
)""", re.X | re.I)
DURATION = re.compile(r"(?:\d+(?:ms|[smhdwy]))+")
RATES = {"rate", "irate", "increase"}  # of counters only
FUNCTIONS = RATES | {"sum", "min", "max", "avg", "count", "topk", "absent", "abs", "clamp_min", "clamp_max", "delta",
                     "deriv", "min_over_time", "max_over_time", "avg_over_time", "histogram_quantile"}
LABEL_LISTS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
OPERATORS = {"and", "or", "unless", "bool", "offset"}


class Query:
    """metrics: [(name or "", functions around it, whether it has a range, {label: text})]; labels: those of by (…) and such."""

    def __init__(self, text):
        self.metrics, self.labels = [], set()
        self.tokens = list(self._split(text))
        self.at = 0
        self._read([], 0)

    @staticmethod
    def _split(text):
        at = 0
        text = text.rstrip()
        while at < len(text):
            found = TOKEN.match(text, at)
            if not found:
                raise ValueError(f"not understood at {text[at:]!r}")
            at = found.end()
            yield found.lastgroup, found[found.lastgroup]

    def _peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else (None, None)

    def _take(self, wanted=None):
        kind, value = self._peek()
        if wanted is not None and value != wanted:
            raise ValueError(f"{wanted!r} expected, {value!r} found")
        self.at += 1
        return kind, value

    def _read(self, functions, depth):
        while True:
            kind, value = self._peek()
            if kind is None or value == ")":
                if (kind is None) != (depth == 0):
                    raise ValueError("parentheses do not match")
                return
            self._take()
            if value == "(":
                self._read(functions, depth + 1)
                self._take(")")
            elif kind == "word":
                self._word(value, functions, depth)
            elif value == "{":
                self.at -= 1
                self._metric("", functions)
            elif kind == "range" or value == "}":
                raise ValueError(f"{value!r} follows no metric")

    def _word(self, word, functions, depth):
        if word in LABEL_LISTS:
            self._take("(")
            while self._peek()[1] != ")":
                kind, value = self._take()
                if kind == "word":
                    self.labels.add(value)
            self._take(")")
        elif word in OPERATORS:
            pass
        elif self._peek()[1] == "(" or self._peek()[1] in LABEL_LISTS:
            if word not in FUNCTIONS:
                raise ValueError(f"no such function: {word}")
            while self._peek()[1] in LABEL_LISTS:
                self._word(self._take()[1], functions, depth)
            self._take("(")
            self._read([*functions, word], depth + 1)
            self._take(")")
        else:
            self._metric(word, functions)

    def _metric(self, name, functions):
        matchers = {}
        if self._peek()[1] == "{":
            self._take()
            while self._peek()[1] != "}":
                label, sign, text = self._take(), self._take(), self._take()
                if label[0] != "word" or sign[1] not in ("=", "!=", "=~", "!~") or text[0] != "text":
                    raise ValueError(f"no label matcher: {label[1]}{sign[1]}{text[1]}")
                matchers[label[1]] = text[1][1:-1]
                if self._peek()[1] == ",":
                    self._take()
            self._take("}")
        has_range = self._peek()[0] == "range"
        if has_range and not DURATION.fullmatch(self._take()[1][1:-1]):
            raise ValueError(f"no duration after {name}")
        self.metrics.append((name, functions, has_range, matchers))
