# SPDX-License-Identifier: Apache-2.0
"""Every public declaration has a docstring."""
import unittest

import docstrings
import tree

# Each piece lacks one docstring.
MISSING = {
    "a class": "class A {\n};\n",
    "a struct": "namespace n {\nstruct A {\n  int a;\n};\n}\n",
    "a template": "template <class T>\nclass A {\n};\n",
    "a function": "namespace n {\nint f(int a);\n}\n",
    "a function with body": "inline int f() {\n  return 1;\n}\n",
    "a template function": "template <class T, int N = 3>\n[[nodiscard]] T f();\n",
    "a method": "/// A.\nclass A {\n public:\n  int f() const;\n};\n",
    "a method with body": "/// A.\nclass A {\n public:\n  int f() const { return a_; }\n};\n",
    "the second of two methods":
        "/// A.\nclass A {\n public:\n  /// F.\n  int f();\n  int g();\n};\n",
    "a constructor with arguments": "/// A.\nclass A {\n public:\n  explicit A(int a) : a_{a} {}\n};\n",
    "a struct's method": "/// A.\nstruct A {\n  int a = 0;\n  bool empty() const;\n};\n",
    "an enum": "enum class E { A, B };\n",
    "an alias": "using A = int;\n",
    "a constant": "inline constexpr int kMax = 3;\n",
    "a braced constant": "inline constexpr std::array<int, 2> kTable{1, 2};\n",
    "a concept": "template <class T>\nconcept C = requires(T t) { t.f(); };\n",
    "an inner type": "/// A.\nclass A {\n public:\n  struct B {\n    int c;\n  };\n};\n",
    "a C function": 'extern "C" {\nint f(void);\n}\n',
    "a C struct": "typedef struct hw_a {\n  int a;\n} hw_a;\n",
    "a C function pointer": "/// A.\ntypedef struct hw_a {\n  int (*f)(void *a);\n} hw_a;\n",
    "a macro with arguments": "#define HW_A(x) (x)\n",
    "a docstring a blank line away": "/// Not of f.\n\nint f();\n",
    "an ordinary comment": "// F.\nint f();\n",
    "an operator": "bool operator==(const A& a, const A& b);\n",
    "after a private part": "/// A.\nclass A {\n private:\n  int a_;\n\n public:\n  int f();\n};\n",
    "after a default argument": "/// F.\nvoid f(A a = {});\nvoid g();\n",
    "not of the family": "/// Gets.\nint get(int a);\nint set(int a);\n",
    "a relative further down": "/// Gets.\nint get(int a);\n\nint get(long a);\n",
    "a pure virtual": "/// A.\nclass A {\n public:\n  virtual void f() = 0;\n};\n",
}
# Each piece is complete.
COMPLETE = {
    "a class": "/// A.\nclass A final : public B {\n public:\n  A(const A&) = delete;\n  A();\n  ~A();\n"
               "  A& operator=(const A&) = delete;\n  void f() override;\n  /// G.\n  int g() {\n"
               "    if (x) { return 1; }\n    return 2;\n  }\n\n private:\n  int h();\n  int a_ = 1;\n};\n",
    "a struct": "/// A.\nstruct A {\n  int a = 1;\n  std::vector<int> b{1, 2};  ///< B.\n"
                "  friend auto operator<=>(const A&, const A&) = default;\n};\n",
    "a forward declaration": "class A;\nenum class E : int;\ntemplate <class T>\nclass B;\n",
    "an enum": "/// E.\nenum class E : std::uint8_t {\n  A,  ///< a\n  B,\n};\n",
    "a constant behind": "inline constexpr int kMax = 3;  ///< Bytes.\n",
    "a hidden namespace": "namespace n::detail {\nint f();\n}\nnamespace {\nint g();\n}\n",
    "a C header": '#ifndef X\n#define X\n#ifdef __cplusplus\nextern "C" {\n#endif\n'
                  "/// A.\ntypedef struct hw_a {\n  uint32_t a; /* b */\n  /// F.\n"
                  "  int (*f)(void *a, const struct hw_a *b);\n} hw_a;\n/** E. */\nenum { HW_A = 1 };\n"
                  "#ifdef __cplusplus\n}\n#endif\n#endif\n",
    "a constructor with an init list":
        "/// A.\nclass A {\n public:\n  /// Makes one.\n  A(int a, B b) noexcept : a_{a}, b_(b) { f(); }\n"
        "\n private:\n  int a_;\n};\n",
    "strings and characters": "/// F.\ninline const char* f() {\n  return \"}{\" + '{';\n}\n"
                              "/// N.\ninline constexpr int kN = 1'000;\n",
    "a conditional macro": "/// M.\n#if A\n#define HW_M(x) x\n#else\n#define HW_N 1\n#endif\n",
    "a docstring of several lines": "/// F\n///\n/// more.\n[[nodiscard]] int f();\n",
    "a family": "/// Gets.\nint get(int a);\nint get(long a);\nint get_id(int a);\n",
    "the values of a status": "/// S.\ntypedef int32_t hw_s;\nenum { HW_OK = 0 };\n",
    "a definition outside": "inline int A::f() {\n  return 1;\n}\ninline A::A(int a) : a_(a) {}\n",
    "a macro in two branches": "/// M.\n#ifdef A\n#define HW_M(x) x\n#else\n#define HW_M(x) (x)\n#endif\n",
    "an implementation": "/// A.\nclass A {\n  struct State;\n  int f();\n  State* state_;\n};\n",
}


class Scanner(unittest.TestCase):
    """The scanner sees what it has to see."""

    def test_a_missing_docstring_is_found(self):
        for name, text in MISSING.items():
            with self.subTest(name):
                self.assertEqual(len(docstrings.problems(text)), 1, docstrings.problems(text))

    def test_complete_headers_pass(self):
        for name, text in COMPLETE.items():
            with self.subTest(name):
                self.assertEqual(docstrings.problems(text), [])

    def test_removing_any_docstring_of_a_header_is_found(self):
        text = tree.read("core/base/arena.hpp")
        self.assertEqual(docstrings.problems(text), [])
        lines = text.split("\n")
        blocks = [i for i, line in enumerate(lines) if line.lstrip().startswith("///") and
                  not lines[i - 1].lstrip().startswith("///")]
        self.assertGreater(len(blocks), 5)
        for start in blocks:
            end = start
            while lines[end].lstrip().startswith("///"):
                end += 1
            with self.subTest(lines[start].strip()):
                self.assertEqual(len(docstrings.problems("\n".join(lines[:start] + lines[end:]))), 1)


class Tree(unittest.TestCase):
    """Our headers have them all."""

    def test_every_public_declaration_has_a_docstring(self):
        headers = tree.under("core", suffixes=(".hpp", ".h"))
        self.assertGreater(len(headers), 10)
        found = [f"{name}:{line}: {what}" for name in headers
                 for line, what in docstrings.problems(tree.read(name))]
        self.assertEqual(found, [], "\n" + "\n".join(found))


if __name__ == "__main__":
    unittest.main()
