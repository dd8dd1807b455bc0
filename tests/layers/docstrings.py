# SPDX-License-Identifier: Apache-2.0
"""Finds public declarations without a docstring in our headers.

Not a C++ parser: it reads one character after the other, keeps a stack of scopes, and takes what
stands between two of ; { } in a public scope as one declaration. That is enough for headers written
in one style, and its self-test says what it sees.

A docstring is a comment that begins with /// or /** directly above the declaration, or ///< behind
it. Needs one: types, aliases, concepts, functions, methods, constants, function pointers in C
structs, function-like macros. Does not: plain data members and enumerators (their type describes
them), forward declarations, deleted and defaulted functions, default, copy and move constructors
and assignments, destructors, overrides, friends, private and protected parts, namespaces named
detail, definitions of members outside their class. A family shares the docstring of its first
member: overloads, a name that begins with the one documented directly above (field_get and
field_get_id), and the anonymous enum directly below the alias that it lists values for.
"""
import re

ACCESS = re.compile(r"^(public|protected|private)$")
TYPE = re.compile(r"^(typedef\s+)?(class|struct|union|enum)\b")
FORWARD = re.compile(r"^(template\s*<.*>\s*)?(enum\s+)?(class|struct|union|enum)\s+"
                     r"(\[\[\w+\]\]\s*)?[\w:]+(\s*:\s*[\w:]+)?$", re.DOTALL)


class Scope:
    """A brace we are inside: whether its declarations are public, and what kind it is."""

    def __init__(self, kind, public, name=""):
        self.kind, self.public, self.name = kind, public, name


def strip_template(head):
    """The declaration without its leading template<...>, attributes and requires clause."""
    while True:
        head = head.strip()
        if head.startswith("[["):
            head = head[head.index("]]") + 2:]
            continue
        if not head.startswith("template"):
            return head
        depth, at = 0, head.index("<")
        for at in range(head.index("<"), len(head)):
            depth += {"<": 1, ">": -1}.get(head[at], 0)
            if depth == 0:
                break
        head = head[at + 1:]
        match = re.match(r"\s*requires\s+[\w:]+<[^>]*>", head)
        if match:
            head = head[match.end():]


def is_function(head):
    """True if a parameter list, and not an initialiser, is what the declaration is about."""
    before = head.split("=")[0] if "operator" not in head else head
    return "(" in before


def declared_name(head):
    """The name that a function, a function pointer or an alias declares; empty if unclear."""
    for pattern in (r"\(\*(\w+)\)\s*\(", r"(operator\s*\W{1,3}|[\w~]+)\s*\(", r"\busing (\w+)\s*="):
        match = re.search(pattern, head)
        if match:
            return match.group(1)
    return ""


def exempt(head, scope, defines):
    """True if a declaration needs no docstring; `defines`: it is followed by a body."""
    if head.startswith(("using namespace", "static_assert", "friend", "extern \"C\"", "HW_ASSERT")):
        return True
    if re.search(r"=\s*(delete|default)$", head) or re.search(r"\boverride\b|\bfinal\b(?!.*\{)", head):
        return not TYPE.match(head)
    if FORWARD.match(head) and not defines:
        return True
    if scope.kind == "namespace" and re.search(r"\w(<[^<>]*>)?::~?(\w+|operator.{1,3})\s*\(",
                                               head.split("(")[0] + "("):
        return True
    if scope.kind == "class":
        if head.startswith("~") or head.startswith("virtual ~"):
            return True
        name = re.escape(scope.name)
        plain = re.sub(r"\b(explicit|constexpr|inline|noexcept)\b", "", head).strip()
        if re.match(rf"^{name}\s*\(\s*(const\s+)?({name}\s*&&?\s*\w*)?\s*\)", plain):
            return True
        if re.match(rf"^{name}\s*&\s*operator\s*=\s*\(\s*(const\s+)?{name}\s*&{{0,2}}\s*\w*\s*\)", plain):
            return True
        if not TYPE.match(head) and not head.startswith(("using ", "typedef ", "static ")):
            return not is_function(head)  # a data member
    return False


class Scanner:
    """One pass over one header; `problems` holds (line, declaration)."""

    def __init__(self, text):
        self.text, self.at, self.line = text, 0, 1
        self.scopes = [Scope("namespace", True)]
        self.problems = []
        self.macros = set()
        self.family, self.family_end = "", 0  # what was documented last, and on which line it ended
        self.forget()

    def forget(self):
        """Starts the next declaration."""
        self.head, self.head_line, self.parens, self.doc, self.doc_end = "", 0, 0, False, 0
        self.init_list = False

    def public(self):
        return all(s.public for s in self.scopes)

    def take(self, count):
        piece = self.text[self.at:self.at + count]
        self.at += count
        self.line += piece.count("\n")
        return piece

    def comment(self):
        """Consumes a comment; remembers whether it documents what follows."""
        text, start = self.text, self.at
        if text.startswith("//", start):
            end = text.find("\n", start)
            end = len(text) if end < 0 else end
        else:
            end = text.find("*/", start) + 2
        piece = text[start:end]
        is_doc = piece.startswith(("///", "/**")) and not piece.startswith(("///<", "/**<"))
        first_line = self.line
        self.take(end - start)
        if not self.head and is_doc:
            self.doc, self.doc_end = True, self.line
        elif not self.head and self.doc and first_line - self.doc_end > 1:
            self.doc = False

    def literal(self):
        """Consumes a string or character literal."""
        text = self.text
        if text[self.at] == '"' and re.search(r"(?:u8|u|U|L)?R$", self.head):
            tag = text[self.at + 1:text.index("(", self.at)]
            end = text.index(")" + tag + '"', self.at) + len(tag) + 2
        else:
            quote, end = text[self.at], self.at + 1
            while text[end] != quote:
                end += 2 if text[end] == "\\" else 1
            end += 1
        self.head += self.take(end - self.at)

    def directive(self):
        """Consumes a preprocessor line; a function-like macro needs a docstring."""
        start, end = self.at, self.at
        while True:
            end = self.text.find("\n", end)
            if end < 0:
                end = len(self.text)
                break
            if self.text[end - 1] != "\\":
                break
            end += 1
        line, first = self.text[start:end], self.line
        self.take(end - start)
        macro = re.match(r"#\s*define\s+(\w+)\(", line)
        if macro and self.documented(first):
            self.macros.add(macro.group(1))  # the other branch of an #if says it once
        elif macro and macro.group(1) not in self.macros and not macro.group(1).endswith("_"):
            self.problems.append((first, f"#define {macro.group(1)}(...)"))
        if self.doc and re.match(r"#\s*(if|ifdef|ifndef|else|elif)\b", line):
            self.doc_end = self.line  # a docstring may stand above the condition
        elif not self.head:
            self.doc = False

    def documented(self, line):
        return self.doc and line - self.doc_end <= 1

    def skip_braces(self):
        """Consumes a balanced {...} whose inside is nobody's interface."""
        depth = 0
        while self.at < len(self.text):
            c = self.text[self.at]
            if self.text.startswith(("//", "/*"), self.at):
                end = self.text.find("\n" if c == "/" and self.text[self.at + 1] == "/" else "*/",
                                     self.at)
                self.take(end + (0 if self.text[self.at + 1] == "/" else 2) - self.at)
                continue
            if c in "\"'" and not (c == "'" and self.text[self.at - 1].isalnum()):
                keep, self.head = self.head, self.head + self.text[max(0, self.at - 3):self.at]
                self.literal()
                self.head = keep
                continue
            self.take(1)
            depth += {"{": 1, "}": -1}.get(c, 0)
            if depth == 0:
                return

    def check(self, trailing_doc=False, defines=False):
        """Looks at one complete declaration."""
        head = re.sub(r"\s+", " ", strip_template(re.sub(r"\s+", " ", self.head).strip()))
        scope = self.scopes[-1]
        if not head or not self.public() or exempt(head, scope, defines):
            return
        if self.documented(self.head_line) or trailing_doc:
            self.family = "enum" if head.startswith("typedef int") else declared_name(head)
        elif not (self.family and self.head_line == self.family_end + 1 and
                  (declared_name(head) or head).startswith(self.family)):
            self.problems.append((self.head_line, head[:90]))
            self.family = ""
        self.family_end = self.line

    def trailing_doc(self):
        """True if the rest of this line is a ///< comment."""
        end = self.text.find("\n", self.at)
        return re.match(r"[ \t]*(///<|/\*\*<)", self.text[self.at:end]) is not None

    def open_brace(self):
        head = re.sub(r"\s+", " ", strip_template(re.sub(r"\s+", " ", self.head).strip()))
        if self.parens:  # a default argument or a lambda in an initialiser
            self.skip_braces()
            self.head += "{}"
            return
        if re.match(r'^extern "C"$', head):
            self.take(1)
            self.scopes.append(Scope("namespace", True))
            self.forget()
            return
        if re.match(r"^(inline )?namespace\b", head):
            name = head.split()[-1]
            self.take(1)
            hidden = name == "namespace" or name.split("::")[-1] in ("detail", "internal")
            self.scopes.append(Scope("namespace", not hidden))
            self.forget()
            return
        kind = TYPE.match(head)
        if kind and not is_function(re.sub(r"(alignas|__attribute__)\s*\(+[^)]*\)+", "", head)):
            self.check(defines=True)
            if kind.group(2) == "enum":
                self.skip_braces()
                self.head += "{}"
                self.doc, self.doc_end = True, self.head_line  # already judged
                self.family = ""
                return
            name = re.sub(r"\b(final|class|struct|union|typedef)\b|\[\[\w+\]\]", "",
                          re.split(r"[^:]:[^:]", head)[0]).strip().split("<")[0].split(" ")[-1]
            self.take(1)
            self.scopes.append(Scope("class", kind.group(2) != "class", name))
            self.forget()
            return
        if self.init_list and re.search(r"[\w>]\s*$", self.head):  # a member's initialiser
            self.skip_braces()
            self.head += "{}"
            return
        initialiser = not is_function(head) or re.search(r"=\s*$|\brequires\b[^;]*$", self.head)
        if "operator" in head:
            initialiser = False
        if initialiser:
            self.skip_braces()
            self.head += "{}"
            return
        self.skip_braces()  # the body of a function
        if self.init_list:
            self.head = re.split(r"\)\s*(?:noexcept\s*)?:(?!:)", self.head)[0] + ")"
        self.check()
        self.forget()

    def close_brace(self):
        self.take(1)
        if len(self.scopes) > 1:
            scope = self.scopes.pop()
            self.forget()
            if scope.kind == "class":  # what follows names a typedef or a variable of the type
                end = self.text.find(";", self.at)
                self.take(end + 1 - self.at)

    def run(self):
        while self.at < len(self.text):
            c = self.text[self.at]
            line_start = self.text.rfind("\n", 0, self.at) + 1
            if self.text.startswith(("//", "/*"), self.at):
                self.comment()
            elif c == "#" and not self.text[line_start:self.at].strip():
                self.directive()
            elif c == '"' or c == "'" and not (self.at and self.text[self.at - 1].isalnum()):
                self.start()
                self.literal()
            elif c == "{":
                self.start()
                self.open_brace()
            elif c == "}":
                self.close_brace()
            elif c == ";" and not self.parens:
                self.take(1)
                self.check(self.trailing_doc())
                self.forget()
            else:
                self.other(c)
        return self.problems

    def start(self):
        if not self.head.strip():
            self.head, self.head_line = "", self.line

    def other(self, c):
        if not c.isspace():
            self.start()
        self.parens += {"(": 1, ")": -1}.get(c, 0)
        if c == ":" and not self.parens:
            if ACCESS.match(self.head.strip()) and self.text[self.at + 1] != ":":
                self.scopes[-1].public = self.head.strip() == "public"
                self.take(1)
                self.forget()
                return
            if re.search(r"\)\s*(noexcept(\(.*\))?\s*)?$", self.head) and \
                    self.text[self.at + 1] != ":":
                self.init_list = True
        if self.head or not c.isspace():
            self.head += c
        self.take(1)


def problems(text):
    """[(line, declaration)] of the public declarations of a header that have no docstring."""
    return Scanner(text).run()
