// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hyperway::json_mask {

/// What to mask. Constant while maskers use it.
struct MaskRules {
  std::vector<std::string> fields;  ///< Names, unescaped UTF-8; compared exactly, at every depth.
  std::string replacement = "\"***\"";  ///< JSON text that takes a value's place.
};

/// Replaces the values of named members in a JSON text that comes in pieces. Its memory does not
/// grow with the text: it remembers the nesting (a bit per level) and the name that is being read,
/// as far as it may still be one of the fields. Names are compared unescaped, so "\u0070assword" is
/// found too. Texts behind one another (JSON lines) are taken. Not thread-safe.
class Masker {
 public:
  /// `rules` outlives the masker.
  explicit Masker(const MaskRules& rules);

  /// Reads the next piece and appends what is to be passed on to `out`. False if the text is not
  /// JSON or nested deeper than kMaxDepth; nothing more must then be passed on.
  [[nodiscard]] bool feed(std::string_view piece, std::string& out);

  /// Deepest nesting of objects and arrays.
  static constexpr std::size_t kMaxDepth = 512;

 private:
  enum class State : std::uint8_t {
    Value,        // a value, or at top level the end
    FirstItem,    // behind '[': a value or ']'
    FirstMember,  // behind '{': a name or '}'
    Member,       // behind ',' in an object: a name
    Colon,        // behind a name
    After,        // behind a value: ',' or the end of the container
    Name,         // in a name
    NameEscape,   // behind '\' in a name
    NameHex,      // in \uXXXX in a name
    Text,         // in a string value
    TextEscape,   // behind '\' in a string value
    Scalar,       // in a number, true, false or null
  };

  bool step(char byte);
  bool beginValue(char byte);
  bool beginName(char byte);
  bool open(char byte);
  bool close(char byte);
  bool inName(char byte);
  bool escapeInName(char byte);
  bool hexInName(char byte);
  bool afterValue(char byte);
  void endValue();
  void appendToName(std::uint32_t code);
  [[nodiscard]] bool inObject() const { return depth_ > 0 && objects_[depth_ - 1]; }
  [[nodiscard]] bool masking() const noexcept { return mask_depth_ != kNotMasking; }

  static constexpr std::size_t kNotMasking = static_cast<std::size_t>(-1);

  const MaskRules& rules_;
  std::size_t longest_ = 0;  // Longest field name.
  State state_ = State::Value;
  std::size_t depth_ = 0;
  std::bitset<kMaxDepth> objects_;        // Per level: an object, not an array.
  std::string name_;                      // At most longest_ + 1 bytes of the name being read.
  bool next_is_masked_ = false;           // The name just read is one of the fields.
  std::size_t mask_depth_ = kNotMasking;  // Depth at which the masked value began.
  std::uint32_t hex_ = 0;
  int hex_digits_ = 0;
  std::uint32_t high_surrogate_ = 0;
  bool drop_ = false;     // The byte being read belongs to a masked value.
  bool replace_ = false;  // The replacement is due.
};

}  // namespace hyperway::json_mask
