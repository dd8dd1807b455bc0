#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Draws the README's figures: docs/images/architecture.svg, architecture.zh-CN.svg, bench.svg and bench.zh-CN.svg.

The same input gives the same bytes. With --check nothing is written, and a file that would change is an error.
"""
import json
import os
import sys
from xml.sax.saxutils import escape

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
IMAGES = os.path.join(ROOT, "docs", "images")

STYLE = """
  svg { --page: #ffffff; --line: #c9d2d0; --text: #16211f; --dim: #5d6b69; --accent: #0b7a75; --soft: #e8f3f2; --bar2: #8cc4c0; }
  @media (prefers-color-scheme: dark) {
    svg { --page: #101615; --line: #3a4744; --text: #e3eae8; --dim: #95a3a0; --accent: #4fc3b8; --soft: #17302d; --bar2: #2c6f69; }
  }
  .page { fill: var(--page); }
  text { fill: var(--text); font: 14px system-ui, -apple-system, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; }
  .title { font-size: 16px; font-weight: 600; }
  .name { font-weight: 600; }
  .dim { fill: var(--dim); font-size: 12.5px; }
  .middle { text-anchor: middle; } .end { text-anchor: end; }
  .box { fill: var(--soft); stroke: var(--accent); stroke-width: 1.2; }
  .plain { fill: none; stroke: var(--line); stroke-width: 1.2; }
  .arrow { fill: none; stroke: var(--dim); stroke-width: 1.4; marker-end: url(#tip); }
  .back { stroke-dasharray: 4 4; }
  .tip { fill: var(--dim); }
  .bar { fill: var(--accent); } .bar2 { fill: var(--bar2); }
  .whisker { stroke: var(--text); stroke-width: 1.2; }
  .grid { stroke: var(--line); stroke-width: 1; } .one { stroke: var(--text); stroke-width: 1.4; stroke-dasharray: 5 3; }
"""


class Drawing:
    """An SVG in the making."""

    def __init__(self, width, height, title):
        self.width, self.height, self.title, self.parts = width, height, title, []

    def add(self, text):
        """Appends an element."""
        self.parts.append("  " + text)

    def text(self, x, y, text, kind=""):
        """Appends text; y is its base line."""
        self.add(f'<text x="{x:g}" y="{y:g}"{f" class={chr(34)}{kind}{chr(34)}" if kind else ""}>{escape(text)}</text>')

    def box(self, x, y, width, height, name, lines=(), kind="box"):
        """A box with its name and a line or two below it, in the middle."""
        self.add(f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8"/>')
        top = y + height / 2 + 5 - 9 * len(lines)
        self.text(x + width / 2, top, name, "name middle")
        for number, line in enumerate(lines):
            self.text(x + width / 2, top + 18 * (number + 1), line, "dim middle")

    def arrow(self, points, back=False):
        """A line with a tip at its end."""
        path = "M" + " L".join(f"{x:g} {y:g}" for x, y in points)
        self.add(f'<path class="arrow{" back" if back else ""}" d="{path}"/>')

    def svg(self):
        """The whole file."""
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
                f'height="{self.height}" role="img" aria-label="{escape(self.title)}">\n'
                f"  <!-- SPDX-License-Identifier: Apache-2.0; made by docs/make/figures.py -->\n"
                f"  <title>{escape(self.title)}</title>\n  <style>{STYLE}  </style>\n"
                '  <defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
                '<path class="tip" d="M0 0 8 4 0 8z"/></marker></defs>\n'
                f'  <rect class="page" width="{self.width}" height="{self.height}" rx="10"/>\n'
                + "\n".join(self.parts) + "\n</svg>\n")


ARCHITECTURE = {
    "en": {
        "title": "How hyperway is built: sources, a pure translator, a compiled route table, sinks",
        "sources": "sources", "sinks": "sinks", "k8s": ("k8s_source", "Gateway API of a cluster"), "file": ("file_source", "manifests on disk"),
        "snap": ("snapshot_source", "a RouteSnapshot"), "translate": ("translator", "pure: objects in,", "model and status out"),
        "model": ("route model", "plain data"), "proxy": ("proxy", "compiles, hands to workers"), "sink": ("snapshot_sink", "mode A: writes it"),
        "deploy": ("gateway_deployer", "Services, addresses"), "status": "status: what is accepted, resolved, programmed, and why not",
        "control": "control thread: changes what an edit touches, keeps the last good state",
        "client": "clients", "worker": ("worker: one thread, one loop", "TLS, HTTP/1.1, match in the immutable table"),
        "filters": ("filters", "C ABI, any language"), "pool": ("backends", "endpoints, pools"),
        "requests": "request path: no lock, no call to another thread"},
    "zh": {
        "title": "hyperway 的结构：来源、纯函数翻译器、编译后的路由表、输出端",
        "sources": "来源（source）", "sinks": "输出端（sink）", "k8s": ("k8s_source", "集群中的 Gateway API"), "file": ("file_source", "磁盘上的清单"),
        "snap": ("snapshot_source", "一个 RouteSnapshot"), "translate": ("翻译器", "纯函数：输入对象，", "输出模型与状态"),
        "model": ("路由模型", "纯数据"), "proxy": ("proxy", "编译并交给工作线程"), "sink": ("snapshot_sink", "模式 A：写出快照"),
        "deploy": ("gateway_deployer", "Service 与地址"), "status": "状态：哪些被接受、已解析、已生效，以及为什么没有",
        "control": "控制线程：只改动一次编辑所触及的部分，并保留最后的良好状态",
        "client": "客户端", "worker": ("工作线程：一个线程，一个事件循环", "TLS、HTTP/1.1，在不可变的表中匹配"),
        "filters": ("过滤器", "C ABI，任何语言"), "pool": ("后端", "端点与连接池"),
        "requests": "请求路径：没有锁，也不调用其他线程"},
}


def architecture(words):
    """Sources, translator, model and sinks above; a worker with its filters below."""
    d = Drawing(960, 446, words["title"])
    d.text(110, 34, words["sources"], "dim middle")
    d.text(850, 34, words["sinks"], "dim middle")
    for number, key in enumerate(("k8s", "file", "snap")):
        y = 48 + 70 * number
        d.box(20, y, 180, 56, words[key][0], words[key][1:])
        d.arrow([(200, y + 28), (266, 124 if number == 1 else 108 + 16 * number)])
    d.box(270, 84, 200, 84, words["translate"][0], words["translate"][1:])
    d.arrow([(470, 126), (526, 126)])
    d.box(530, 98, 150, 56, words["model"][0], words["model"][1:], "plain")
    for number, key in enumerate(("proxy", "sink", "deploy")):
        y = 48 + 70 * number
        d.arrow([(680, 110 + 16 * number), (746, y + 28)])
        d.box(750, y, 190, 56, words[key][0], words[key][1:])
    d.arrow([(370, 168), (370, 262), (110, 262), (110, 250)], back=True)
    d.text(384, 258, words["status"], "dim")
    d.text(480, 60, words["control"], "dim middle")
    d.add('<path class="grid" d="M20 288H940"/>')
    d.text(480, 316, words["requests"], "dim middle")
    d.text(70, 384, words["client"], "middle")
    d.arrow([(110, 380), (166, 380)])
    d.box(170, 336, 330, 88, words["worker"][0], words["worker"][1:])
    d.arrow([(500, 380), (546, 380)])
    d.box(550, 352, 170, 56, words["filters"][0], words["filters"][1:])
    d.arrow([(720, 380), (766, 380)])
    d.box(770, 352, 170, 56, words["pool"][0], words["pool"][1:], "plain")
    return d.svg()


BENCH = {
    "en": {
        "title": "What it costs, beside the best of nginx and HAProxy in the same run",
        "axis": "ratio to the best of them: 1 is equal, less is cheaper; line: lowest to highest of {rounds} rounds",
        "one": "one worker", "two": "two workers", "source": "{date}, commit {commit}; {machine}.",
        "how": "Requests beside nginx 1.22 and 1.28, HAProxy 2.6 and 3.0; bodies beside nginx 1.28, memory beside nginx. ./dev bench.",
        "S1": "HTTP, 1 KiB: CPU per request", "S2": "HTTPS, 1 KiB: CPU per request", "S4": "a connection for each request: CPU",
        "S8": "header match and four filters: CPU", "S6d": "100 MiB down: CPU per GiB", "S6u": "100 MiB up: CPU per GiB",
        "SM": "idle connection: memory", "SMt": "idle TLS connection: memory"},
    "zh": {
        "title": "与同一次测试中 nginx、HAProxy 的最好成绩相比的开销",
        "axis": "与其中最好者之比：1 为相同，越小越省；细线：{rounds} 轮中的最低到最高",
        "one": "一个工作线程", "two": "两个工作线程", "source": "{date}，提交 {commit}；{machine}。",
        "how": "请求：nginx 1.22 与 1.28、HAProxy 2.6 与 3.0；传输：nginx 1.28；内存：nginx。./dev bench。",
        "S1": "HTTP，1 KiB：每个请求的 CPU", "S2": "HTTPS，1 KiB：每个请求的 CPU", "S4": "每个请求一条连接：CPU",
        "S8": "按头匹配并有四个过滤器：CPU", "S6d": "下载 100 MiB：每 GiB 的 CPU", "S6u": "上传 100 MiB：每 GiB 的 CPU",
        "SM": "空闲连接：内存", "SMt": "空闲 TLS 连接：内存"},
}
MACHINE_ZH = "AMD EPYC 的 2 个核心，虚拟机，Debian 12，Linux 6.18"


def bench(words, results, machine):
    """One bar for each figure, and a thin one for two workers."""
    rows = {(r["scenario"], r["workers"]): r for r in results["rows"]}
    names = [name for name in ("S1", "S2", "S8", "S4", "S6d", "S6u", "SM", "SMt") if (name, 1) in rows]
    left, right, top, step = 300, 900, 96, 44
    height = top + step * len(names) + 96
    d = Drawing(960, height, words["title"])
    most = 1.2
    place = lambda value: left + (right - left) * min(value, most) / most  # noqa: E731
    d.text(24, 36, words["title"], "title")
    rounds = max(r["rounds"] for r in results["rows"])
    d.text(24, 60, words["axis"].format(rounds=rounds), "dim")
    bottom = top + step * len(names)
    for tick in (0, 0.25, 0.5, 0.75, 1.0):
        d.add(f'<path class="{"one" if tick == 1 else "grid"}" d="M{place(tick):.1f} {top - 8}V{bottom}"/>')
        d.text(place(tick), bottom + 20, f"{tick:g}", "dim middle")
    for number, name in enumerate(names):
        y = top + step * number
        d.text(left - 14, y + 19, words[name], "end")
        both = [(rows[name, w], w) for w in (1, 2) if (name, w) in rows]
        for row, workers in both:
            middle, low, high = row["ratio"]
            bar, at = (14, y + 4) if workers == 1 else (8, y + 22)
            if len(both) == 1:
                at = y + 8
            d.add(f'<rect class="{"bar" if workers == 1 else "bar2"}" x="{left}" y="{at}" width="{place(middle) - left:.1f}" height="{bar}" rx="2"/>')
            d.add(f'<path class="whisker" d="M{place(low):.1f} {at + bar / 2:g}H{place(high):.1f}"/>')
            if workers == 1:
                d.text(right + 12, at + 12, f"{middle:.2f}")
    d.add(f'<rect class="bar" x="{left}" y="{bottom + 34}" width="22" height="11" rx="2"/>')
    d.text(left + 30, bottom + 44, words["one"], "dim")
    d.add(f'<rect class="bar2" x="{left + 150}" y="{bottom + 36}" width="22" height="7" rx="2"/>')
    d.text(left + 180, bottom + 44, words["two"], "dim")
    d.text(24, bottom + 68, words["source"].format(date=results["date"], commit=results["commit"], machine=machine), "dim")
    d.text(24, bottom + 86, words["how"], "dim")
    return d.svg()


def figures():
    """{file name: text}."""
    with open(os.path.join(ROOT, "docs", "bench", "results.json"), encoding="utf-8") as file:
        results = json.load(file)
    return {
        "architecture.svg": architecture(ARCHITECTURE["en"]), "architecture.zh-CN.svg": architecture(ARCHITECTURE["zh"]),
        "bench.svg": bench(BENCH["en"], results, results["machine"]),
        "bench.zh-CN.svg": bench(BENCH["zh"], results, MACHINE_ZH),
    }


def main():
    """Writes or checks them."""
    os.makedirs(IMAGES, exist_ok=True)
    stale = []
    for name, text in figures().items():
        path = os.path.join(IMAGES, name)
        if "--check" in sys.argv[1:]:
            with open(path, encoding="utf-8") as file:
                if file.read() != text:
                    stale.append(name)
            continue
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    if stale:
        sys.exit("not as docs/make/figures.py makes them: " + " ".join(stale))


if __name__ == "__main__":
    main()
