// SPDX-License-Identifier: Apache-2.0
#include "documents.hpp"

#include <algorithm>
#include <cstring>

namespace hyperway::file_source {
namespace {

// Product of two words, folded: every input bit reaches both halves.
std::uint64_t fold(std::uint64_t a, std::uint64_t b) noexcept {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t load(const char* at) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}

// What a block of 64 bytes holds; written so that compilers turn it into vector code.
struct BlockFacts {
  std::size_t newlines = 0;
  bool may_have_mark = false;  // a newline followed by "--" or ".."
};

constexpr std::size_t kBlock = 64;

// Reads two bytes beyond the block.
BlockFacts look(const char* at) noexcept {
  unsigned char newlines = 0;
  unsigned char marks = 0;
  for (std::size_t i = 0; i < kBlock; ++i) {
    const auto newline = static_cast<unsigned char>(at[i] == '\n');
    const auto twice = static_cast<unsigned char>(at[i + 1] == at[i + 2]);
    const auto sign = static_cast<unsigned char>((at[i + 1] == '-') | (at[i + 1] == '.'));
    newlines = static_cast<unsigned char>(newlines + newline);
    marks = static_cast<unsigned char>(marks | (newline & twice & sign));
  }
  return {newlines, marks != 0};
}

// "---" or "..." at a line's start, and where its line is.
struct Mark {
  std::size_t offset = 0;
  std::size_t line = 1;
  bool starts = false;  // "---"
};

bool isMark(std::string_view rest) noexcept {
  if (!rest.starts_with("---") && !rest.starts_with("...")) return false;
  return rest.size() == 3 || rest[3] == ' ' || rest[3] == '\t' || rest[3] == '\r' ||
         rest[3] == '\n';
}

std::vector<Mark> findMarks(std::string_view text, std::size_t begin) {
  std::vector<Mark> out;
  std::size_t line = 1;
  if (isMark(text.substr(begin))) out.push_back({begin, line, text[begin] == '-'});
  std::size_t at = begin;
  while (at < text.size()) {
    if (at + kBlock + 2 <= text.size()) {
      const BlockFacts facts = look(text.data() + at);
      if (!facts.may_have_mark) {
        line += facts.newlines;
        at += kBlock;
        continue;
      }
    }
    const std::size_t end = std::min(at + kBlock, text.size());
    for (; at < end; ++at) {
      if (text[at] != '\n') continue;
      ++line;
      if (isMark(text.substr(at + 1))) out.push_back({at + 1, line, text[at + 1] == '-'});
    }
  }
  return out;
}

// True for a piece with nothing but blank lines, comments and directives.
bool isEmpty(std::string_view piece) noexcept {
  if (piece.starts_with("---")) piece.remove_prefix(3);
  while (!piece.empty()) {
    const std::string_view line = piece.substr(0, piece.find('\n'));
    const std::size_t first = line.find_first_not_of(" \t\r");
    if (first != std::string_view::npos && line[first] != '#' && line.front() != '%') return false;
    piece.remove_prefix(std::min(piece.size(), line.size() + 1));
  }
  return true;
}

}  // namespace

std::uint64_t hashText(std::string_view text) noexcept {
  constexpr std::uint64_t kA = 0x9e3779b97f4a7c15ULL;
  constexpr std::uint64_t kB = 0xd1b54a32d192ed03ULL;
  std::uint64_t left = kA ^ text.size();
  std::uint64_t right = kB;
  const char* at = text.data();
  std::size_t rest = text.size();
  for (; rest >= 32; at += 32, rest -= 32) {  // two chains, so that multiplications overlap
    left = fold(load(at) ^ left, load(at + 8) ^ kA);
    right = fold(load(at + 16) ^ right, load(at + 24) ^ kB);
  }
  for (; rest >= 8; at += 8, rest -= 8) left = fold(load(at) ^ left, kA);
  std::uint64_t tail = 0;
  if (rest > 0) std::memcpy(&tail, at, rest);
  return fold(fold(left ^ tail, kB) ^ right, kA);
}

std::vector<Document> splitDocuments(std::string_view text) {
  const std::size_t begin = text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  std::vector<Document> out;
  const auto add = [&](std::size_t from, std::size_t to, std::size_t line) {
    const std::string_view piece = text.substr(from, to - from);
    if (!isEmpty(piece)) out.push_back({from, piece.size(), line, hashText(piece)});
  };
  const std::vector<Mark> marks = findMarks(text, begin);
  out.reserve(marks.size() + 1);
  std::size_t from = begin;
  std::size_t line = 1;
  for (const Mark& mark : marks) {
    add(from, mark.offset, line);
    from = mark.offset;
    line = mark.line;
    if (mark.starts) continue;
    // Behind "..." nothing of that document is left on the line but a comment.
    const std::size_t end = text.find('\n', mark.offset);
    from = end == std::string_view::npos ? text.size() : end + 1;
    ++line;
  }
  add(from, text.size(), line);
  return out;
}

}  // namespace hyperway::file_source
