"""The mutants of a file: every small mistake that could stand there instead of what does.

C is read by libclang, so that an operator, a statement or a condition has an exact place; what comes out of a macro is
mutated only where the macro's own name or arguments stand in the file. The Redis scripts are read token by token.
"""
import functools
import hashlib
import pathlib
import re
import shlex
from dataclasses import dataclass

from clang import cindex
from clang.cindex import CursorKind as Kind
from clang.cindex import TypeKind


@dataclass(frozen=True)
class Mutant:
    file: str
    function: str
    line: int
    last_line: int
    start: int  # bytes from the start of the file
    end: int
    original: str
    mutated: str
    operator: str
    nth: int = 0  # of the same original, mutated and function

    @property
    def key(self):
        """Names it in a list, whatever else changes in the file."""
        return f"{self.file} :: {self.function} :: {squeeze(self.original)} => {squeeze(self.mutated)}"

    @property
    def id(self):
        return hashlib.sha1(f"{self.key} {self.nth}".encode()).hexdigest()[:10]

    @property
    def room(self):
        return self.file.rpartition("/")[0].removesuffix("/scripts")

    def apply(self, source):
        return source[:self.start] + self.mutated.encode() + source[self.end:]


def squeeze(text):
    return re.sub(r"\s+", " ", text).strip()


BINARY = {
    "<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"), "==": ("!=",), "!=": ("==",),
    "+": ("-",), "-": ("+",), "*": ("/",), "/": ("*",), "%": ("/",), "&&": ("||",), "||": ("&&",),
    "&": ("|",), "|": ("&",), "^": ("&",), "<<": (">>",), ">>": ("<<",),
    "+=": ("-=", "="), "-=": ("+=",), "*=": ("/=",), "/=": ("*=",), "|=": ("&=", "="), "&=": ("|=",), "<<=": (">>=",), ">>=": ("<<=",),
}
OPERANDS = {"&&", "||", "|"}  # each side may be forgotten
# Our own errors abort and log lines are for people: neither is behaviour that a test should hold.
NO_STATEMENT = re.compile(r"(MUST|log_(debug|info|warn|error)|assert|static_assert|va_(start|end)|UNUSED)\b|\(void\)\s*\w+$")
DURATION = re.compile(r"_(MS|US|NS|SECONDS)$")  # one more or less of them is nobody's business
ALLOWED_MACRO = re.compile(r"[A-Z][A-Z0-9_]*$")
WRAPPERS = (Kind.UNEXPOSED_EXPR, Kind.PAREN_EXPR)


class CFile:
    def __init__(self, unit, file, source):
        self.file, self.source, self.found = file, source, {}
        self.function = None
        for cursor in unit.cursor.get_children():
            if cursor.location.file and cursor.location.file.name == unit.spelling:
                if cursor.kind == Kind.FUNCTION_DECL and cursor.is_definition():
                    self.function = cursor
                    self.body(cursor)
                    self.walk(cursor)

    # -- helpers

    @staticmethod
    def span(cursor):
        return cursor.extent.start.offset, cursor.extent.end.offset

    def text(self, start, end):
        return self.source[start:end].decode(errors="replace")

    def of(self, cursor):
        return self.text(*self.span(cursor))

    def add(self, start, end, mutated, operator, lines=None):
        original = self.text(start, end)
        if mutated == original or (start, end, mutated) in self.found:
            return
        first = self.source.count(b"\n", 0, lines[0] if lines else start) + 1
        last = self.source.count(b"\n", 0, (lines[1] if lines else end) - 1) + 1
        self.found[start, end, mutated] = Mutant(self.file, self.function.spelling, first, last, start, end, original, mutated, operator)

    # -- what is mutated

    def body(self, function):
        """An early return, first thing."""
        block = [c for c in function.get_children() if c.kind == Kind.COMPOUND_STMT]
        start = self.span(block[0])[0] + 1
        result = function.result_type.get_canonical()
        values = {TypeKind.VOID: [""], TypeKind.BOOL: [" false", " true"], TypeKind.POINTER: [" NULL"]}.get(
            result.kind, [" 0"] if result.kind in INTEGERS else [])
        statements = list(block[0].get_children())
        if not statements:
            return
        # Reached when its first statement is.
        for value in values:
            first = self.text(start, start)
            mutated = f" return{value};"
            if len(statements) == 1 and squeeze(self.of(statements[0])) == f"return{value}":
                continue
            spot = self.span(statements[0])
            self.found[start, start, mutated] = Mutant(self.file, function.spelling, self.line(spot[0]), self.line(spot[0]), start, start,
                                                       first, mutated, "early return")

    def line(self, offset):
        return self.source.count(b"\n", 0, offset) + 1

    def walk(self, cursor):
        for child in cursor.get_children():
            handler = getattr(self, "on_" + child.kind.name.lower(), None)
            if handler:
                handler(child)
            self.walk(child)

    def on_binary_operator(self, cursor):
        left, right = list(cursor.get_children())
        (start, left_end), (right_start, end) = self.span(left), self.span(right)
        gap = self.text(left_end, right_start)
        token = gap.strip()
        if not start < left_end <= right_start < end or "/*" in gap:
            return
        for other in BINARY.get(token, ()):
            if token in ("*", "/") and "sizeof" in self.text(start, end):
                continue
            self.add(start, end, f"{self.text(start, left_end)}{gap.replace(token, other)}{self.text(right_start, end)}", "operator")
        if token in OPERANDS:
            self.add(start, end, self.text(start, left_end), "operand dropped")
            self.add(start, end, self.text(right_start, end), "operand dropped")
        if token == "=" and right.type.get_canonical().kind == TypeKind.POINTER and self.text(right_start, end) != "NULL":
            self.add(right_start, end, "NULL", "null")
        if token == "=" and right.type.get_canonical().kind == TypeKind.BOOL and self.text(right_start, end) not in ("true", "false"):
            self.add(right_start, end, f"!({self.text(right_start, end)})", "negation")

    on_compound_assignment_operator = on_binary_operator

    def on_unary_operator(self, cursor):
        start, end = self.span(cursor)
        text = self.text(start, end)
        if text.startswith(("++", "--")):
            self.add(start, end, ("--" if text[0] == "+" else "++") + text[2:], "operator")
        elif text.endswith(("++", "--")):
            self.add(start, end, text[:-2] + ("--" if text[-1] == "+" else "++"), "operator")
        elif text[:1] in ("!", "~", "-") and not re.fullmatch(r"-\d+|-UV_\w+|-E[A-Z]+", text):
            self.add(start, end, text[1:], "operator")

    def condition(self, cursor, which):
        children = list(cursor.get_children())
        if len(children) <= which:
            return None
        start, end = self.span(children[which])
        inner = children[which]
        while inner.kind in WRAPPERS and len(list(inner.get_children())) == 1:
            inner = list(inner.get_children())[0]
        text = self.text(start, end)
        if not start < end or text.count("(") != text.count(")"):
            return None
        if not (inner.kind == Kind.BINARY_OPERATOR and re.search(r"==|!=", text) and not re.search(r"&&|\|\|", text)):
            self.add(start, end, text[1:] if re.fullmatch(r"!\w+", text) else f"!({text})", "negation")
        return start, end

    def on_if_stmt(self, cursor):
        children = list(cursor.get_children())
        place = self.condition(cursor, 0)
        if not place:
            return
        self.add(*place, "true", "always")
        if len(children) == 2:
            self.add(*place, "false", "branch dropped")

    def on_while_stmt(self, cursor):
        place = self.condition(cursor, 0)
        if place:
            self.add(*place, "false", "branch dropped")

    def on_conditional_operator(self, cursor):
        self.condition(cursor, 0)
        children = list(cursor.get_children())
        for child in children[1:]:
            start, end = self.span(child)
            if start < end:
                self.add(*self.span(cursor), self.text(start, end), "branch dropped")

    def on_compound_stmt(self, cursor):
        children = list(cursor.get_children())
        for child, following in zip(children, [*children[1:], None]):
            start, end = self.span(child)
            text = self.text(start, end)
            if NO_STATEMENT.match(text):
                continue
            if self.is_simple(child):
                after = re.match(rb"\s*;", self.source[end:])
                if not after:
                    continue
                self.add(start, end + after.end(), ";", "statement dropped")
                if following is not None and child.kind == following.kind == Kind.CALL_EXPR:
                    other = self.span(following)
                    if other[0] > end and not NO_STATEMENT.match(self.text(*other)):
                        self.add(start, other[1], f"{self.text(*other)}; {text}", "statements swapped")
        for child in cursor.get_children():
            self.alone(child)

    def alone(self, statement):
        """A statement that is the whole body of an if, a loop or a case."""
        if statement.kind in (Kind.IF_STMT, Kind.FOR_STMT, Kind.WHILE_STMT, Kind.CASE_STMT, Kind.DEFAULT_STMT):
            for child in list(statement.get_children())[-2:]:
                start, end = self.span(child)
                if self.is_simple(child) and self.text(end, end + 1) == ";" and not NO_STATEMENT.match(self.text(start, end)):
                    self.add(start, end + 1, ";", "statement dropped")
                self.alone(child)

    def is_simple(self, statement):
        kinds = (Kind.CALL_EXPR, Kind.BINARY_OPERATOR, Kind.COMPOUND_ASSIGNMENT_OPERATOR, Kind.UNARY_OPERATOR, Kind.BREAK_STMT,
                 Kind.CONTINUE_STMT, Kind.GOTO_STMT)
        if statement.kind in kinds:
            return True
        if statement.kind == Kind.RETURN_STMT and not list(statement.get_children()):
            return True
        return bool(re.match(r"[A-Z][A-Z_]+\(", self.of(statement))) and self.of(statement).endswith(")")

    def on_continue_stmt(self, cursor):
        self.add(*self.span(cursor), "break", "jump")

    def on_return_stmt(self, cursor):
        children = list(cursor.get_children())
        if not children:
            return
        start, end = self.span(children[0])
        text = self.text(start, end)
        kind = self.function.result_type.get_canonical().kind
        if not start < end or text.count("(") != text.count(")"):
            return
        if kind == TypeKind.BOOL and text not in ("true", "false"):
            self.add(start, end, f"!({text})", "negation")
        if kind == TypeKind.POINTER and text != "NULL":
            self.add(start, end, "NULL", "null")
        if kind in INTEGERS and not re.fullmatch(r"-?\w+", text):
            self.add(start, end, f"({text}) + 1", "off by one")

    def on_integer_literal(self, cursor):
        start, end = self.span(cursor)
        text = self.text(start, end)
        if text in ("true", "false"):
            self.add(start, end, "false" if text == "true" else "true", "constant")
        elif re.fullmatch(r"(0[xX][0-9a-fA-F]+|\d+)[uUlL]*", text):
            is_zero = re.fullmatch(r"0[xX]?0*[uUlL]*", text)
            self.add(start, end, "1" if is_zero else f"({text} + 1)", "off by one")
            if not is_zero:
                self.add(start, end, f"({text} - 1)", "off by one")
        elif ALLOWED_MACRO.match(text) and text not in ("NULL", "UV_EOF") and not DURATION.search(text):
            self.add(start, end, f"({text} + 1)", "off by one")

    def on_decl_ref_expr(self, cursor):
        target = cursor.referenced
        if target is None or target.kind != Kind.ENUM_CONSTANT_DECL:
            return
        start, end = self.span(cursor)
        text = self.text(start, end)
        siblings = [c.spelling for c in target.semantic_parent.get_children() if c.kind == Kind.ENUM_CONSTANT_DECL]
        if text != target.spelling or self.is_label(start):
            return
        if DURATION.search(text):
            return
        if target.semantic_parent.spelling == "" or re.search(r"_(MAX|MIN|LIMIT|BYTES|COUNT)$", text):
            self.add(start, end, f"({text} + 1)", "off by one")
            self.add(start, end, f"({text} - 1)", "off by one")
        elif len(siblings) > 1:
            at = siblings.index(text)
            self.add(start, end, siblings[(at + 1) % len(siblings)], "flag")

    def is_label(self, start):
        return re.search(rb"\bcase\s+$", self.source[max(0, start - 20):start]) is not None

    def on_call_expr(self, cursor):
        """Two neighbours of one type, crossed."""
        arguments = list(cursor.get_arguments())
        for left, right in zip(arguments, arguments[1:]):
            (start, left_end), (right_start, end) = self.span(left), self.span(right)
            if not start < left_end < right_start < end or left.type.get_canonical() != right.type.get_canonical():
                continue
            gap = self.text(left_end, right_start)
            if gap.strip() == "," and self.text(start, left_end) != self.text(right_start, end):
                self.add(start, end, f"{self.text(right_start, end)}{gap}{self.text(start, left_end)}", "arguments swapped")


INTEGERS = (TypeKind.INT, TypeKind.UINT, TypeKind.LONG, TypeKind.ULONG, TypeKind.LONGLONG, TypeKind.ULONGLONG, TypeKind.SHORT,
            TypeKind.USHORT, TypeKind.UCHAR, TypeKind.CHAR_S)


def numbered(found):
    """The same mistake at a second place of a function is a mutant of its own."""
    seen, mutants = {}, []
    for mutant in sorted(found, key=lambda m: (m.start, m.end, m.mutated)):
        nth = seen[mutant.key] = seen.get(mutant.key, -1) + 1
        mutants.append(Mutant(**{**mutant.__dict__, "nth": nth}))
    return mutants


@functools.cache
def index():
    return cindex.Index.create()


def resource_folder():
    found = sorted(pathlib.Path("/usr/lib").glob("llvm-*/lib/clang/*/include")) + sorted(pathlib.Path("/usr/lib/gcc").glob("*/*/include"))
    return [f"-isystem{found[0]}"] if found else []


def of_c(path, file, arguments):
    """The mutants of the C file at `path`, called `file` in reports; `arguments` are those of its compiler."""
    unit = index().parse(str(path), args=[*arguments, *resource_folder(), "-w"])
    errors = [d.spelling for d in unit.diagnostics if d.severity >= cindex.Diagnostic.Error]
    if errors:
        raise SystemExit(f"mutate: {file}: {errors[0]}")
    return numbered(CFile(unit, file, pathlib.Path(path).read_bytes()).found.values())


def arguments_of(command):
    """The -I, -D and -std of a line of compile_commands.json."""
    words, kept = shlex.split(command), []
    for at, word in enumerate(words):
        if word.startswith(("-I", "-D", "-std=")):
            kept.append(word)
        elif word == "-isystem":
            kept += [word, words[at + 1]]
    return kept


# -- Redis scripts

LUA_TOKEN = re.compile(r"""(?P<skip>\s+|--\[\[.*?\]\]|--[^\n]*|^\#![^\n]*)|(?P<string>'(?:\\.|[^'])*'|"(?:\\.|[^"])*")
    |(?P<number>\d+(?:\.\d+)?)|(?P<word>[A-Za-z_]\w*)|(?P<mark>\.\.\.?|==|~=|<=|>=|.)""", re.S | re.X)
LUA_OTHER = {"==": ("~=",), "~=": ("==",), "<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"), "+": ("-",), "-": ("+",),
             "*": ("/",), "/": ("*",), "and": ("or",), "or": ("and",), "true": ("false",), "false": ("true",), "not": ("",)}
LUA_OPTIONS = {"NX", "XX", "GT", "LT", "MINID", "MAXLEN"}


def of_lua(source, file):
    text = source.decode()
    function = pathlib.PurePosixPath(file).stem
    found = []

    def add(start, end, mutated, operator, context=None):
        """`context` widens what is named, so that a single mark can be told from others."""
        first, last = context or (start, end)
        original = text[first:last]
        mutated = text[first:start] + mutated + text[end:last]
        found.append(Mutant(file, function, text.count("\n", 0, first) + 1, text.count("\n", 0, max(first, last - 1)) + 1,
                            len(text[:first].encode()), len(text[:last].encode()), original, mutated, operator))

    tokens = [m for m in LUA_TOKEN.finditer(text) if m.lastgroup != "skip"]
    for at, token in enumerate(tokens):
        line_start = text.rfind("\n", 0, token.start()) + 1
        line_end = text.find("\n", token.end())
        line = (line_start + len(text[line_start:]) - len(text[line_start:].lstrip(" ")), line_end if line_end >= 0 else len(text))
        word = token.group()
        for other in LUA_OTHER.get(word, ()):
            if word == "-" and at and tokens[at - 1].group() in ("(", ",", "=", "return"):
                continue
            add(token.start(), token.end(), other, "operator", line)
        if token.lastgroup == "number" and "." not in word:
            add(token.start(), token.end(), str(int(word) + 1), "off by one", line)
            if int(word) > 0:
                add(token.start(), token.end(), str(int(word) - 1), "off by one", line)
        if token.lastgroup == "string" and word[1:-1] in LUA_OPTIONS and at and tokens[at - 1].group() == ",":
            if word[1:-1] in ("NX", "XX", "GT", "LT"):
                add(tokens[at - 1].start(), token.end(), "", "option dropped", line)
        if word in ("if", "elseif", "while"):
            closing = next(t for t in tokens[at:] if t.group() in ("then", "do"))
            condition = text[token.end():closing.start()].strip()
            add(token.end(), closing.start(), f" not ({condition}) ", "negation", line if "\n" not in text[token.end():closing.start()] else None)
    for call in re.finditer(r"^[ ]*(redis\.p?call\(.*\))$|^[ ]*(\w+(?:\.\w+)? = [^\n{]*)$|then (redis\.p?call\([^\n]*\)) end", text, re.M):
        which = next(n for n in (1, 2, 3) if call.group(n))
        if call.group(which).count("(") == call.group(which).count(")"):
            add(*call.span(which), "", "statement dropped")
    return numbered(found)
